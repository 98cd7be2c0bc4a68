/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* openmetrics.h owns the form of https://github.com/prometheus/OpenMetrics, version 1.0. */
#pragma once

#include "health.h"

/* Prints of it only what is the same in the text format 0.0.4, which the text collector of the node
 * exporter reads. */
void openmetrics_print(const struct health_report *report);
