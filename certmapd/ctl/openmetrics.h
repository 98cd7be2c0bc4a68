/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* openmetrics.h owns the form of https://github.com/prometheus/OpenMetrics, version 1.0. */
#pragma once

#include "health.h"

/* The text collector of the node exporter reads it as well. */
void openmetrics_print(const struct health_report *report);
