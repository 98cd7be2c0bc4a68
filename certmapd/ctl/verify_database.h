/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verify_database.h owns the look at the database: the file, its rows, and what they point to. */
#pragma once

#include "verify_report.h"

void verify_database(struct verify *verify);
