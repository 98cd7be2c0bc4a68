#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Put here by certmap's tests for the time of one apt-get run: what it installs is not started.
# Once no apt-get runs any more, this file may be deleted.
exit 101
