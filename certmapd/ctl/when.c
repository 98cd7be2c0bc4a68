/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* when.c owns the arithmetic of dates and durations. */
#include "when.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MINUTE_SEC 60
#define HOUR_SEC 3600
#define DAY_SEC 86400

struct unit {
	const char *name;
	int64_t sec;
};

/* Months and years are no fixed time; these are the round ones that people mean by "6 months". No
 * unit is an m: to some it would be a month, and to others a minute. */
static const struct unit span_units[] = {
	{ "min", MINUTE_SEC },
	{ "h", HOUR_SEC },
	{ "d", DAY_SEC },
	{ "w", INT64_C(7) * DAY_SEC },
	{ "mo", INT64_C(30) * DAY_SEC },
	{ "y", INT64_C(365) * DAY_SEC },
};

/* The longest first. Neither weeks nor months: 12 days are easier to place than a week and a bit.
 */
static const struct unit shown_units[] = {
	{ "year", INT64_C(365) * DAY_SEC },
	{ "day", DAY_SEC },
	{ "hour", HOUR_SEC },
	{ "minute", MINUTE_SEC },
	{ "second", 1 },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Decimal digits, at least one, not more than WHEN_MAX_SEC. Returns what stands behind them; NULL:
 * there are none, or too many. */
static const char *read_digits(const char *text, int64_t *ret)
{
	int64_t number = 0;
	const char *at = text;

	for (; *at >= '0' && *at <= '9'; at++) {
		number = number * 10 + (*at - '0');
		if (number > WHEN_MAX_SEC)
			return NULL;
	}
	*ret = number;
	return at > text ? at : NULL;
}

/* time(2) reads the clock as of the kernel's last tick: for as long, what has just ended would not
 * have. */
int64_t when_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now); /* clock_gettime(2): can't fail for it */
	return now.tv_sec;
}

bool when_read_span(const char *text, int64_t *ret_sec)
{
	int64_t number;
	const char *unit = read_digits(text, &number);

	if (!unit)
		return false;
	for (size_t i = 0; i < COUNT(span_units); i++)
		if (strcmp(unit, span_units[i].name) == 0 &&
			number <= WHEN_MAX_SEC / span_units[i].sec) {
			*ret_sec = number * span_units[i].sec;
			return true;
		}
	return false;
}

static bool read_unix(const char *text, int64_t *ret_sec)
{
	int64_t sec;
	const char *end = read_digits(text, &sec);

	if (!end || *end != '\0')
		return false;
	*ret_sec = sec;
	return true;
}

/* `pattern` has a letter d for each digit; everything else stands for itself. strptime(3) would
 * take white space, signs and short numbers as well. */
static bool is_like(const char *text, const char *pattern)
{
	for (; *pattern != '\0'; pattern++, text++)
		if (*pattern == 'd' ? *text < '0' || *text > '9' : *text != *pattern)
			return false;
	return *text == '\0';
}

static bool is_date(const char *text)
{
	static const char *const patterns[] = {
		"dddd-dd-dd",
		"dddd-dd-dd dd:dd",
		"dddd-dd-dd dd:dd:dd",
		"dddd-dd-ddTdd:dd",
		"dddd-dd-ddTdd:dd:dd",
		"dddd-dd-ddTdd:ddZ",
		"dddd-dd-ddTdd:dd:ddZ",
	};

	for (size_t i = 0; i < COUNT(patterns); i++)
		if (is_like(text, patterns[i]))
			return true;
	return false;
}

static bool is_same_day(const struct tm *a, const struct tm *b)
{
	return a->tm_year == b->tm_year && a->tm_mon == b->tm_mon && a->tm_mday == b->tm_mday &&
	       a->tm_hour == b->tm_hour && a->tm_min == b->tm_min && a->tm_sec == b->tm_sec;
}

/* timegm(3) turns the 30th of February into a day of March, and 24:00 into the next day: a date
 * that changes on its way through it is none. */
static bool read_date(const char *text, int64_t *ret_sec)
{
	struct tm given = { 0 }, normal;
	time_t sec;

	if (!is_date(text))
		return false;
	sscanf(text, "%4d-%2d-%2d%*1[ T]%2d:%2d:%2d", &given.tm_year, &given.tm_mon, &given.tm_mday,
		&given.tm_hour, &given.tm_min, &given.tm_sec);
	given.tm_year -= 1900;
	given.tm_mon -= 1;
	normal = given;
	sec = timegm(&normal);
	if (!is_same_day(&given, &normal) || sec < 0 || sec > WHEN_MAX_SEC)
		return false;
	*ret_sec = sec;
	return true;
}

static bool read_point(const char *text, int64_t now_sec, int direction, int64_t *ret_sec)
{
	int64_t span_sec, sec;

	if (text[0] == '@')
		return read_unix(text + 1, ret_sec);
	if (!when_read_span(text, &span_sec))
		return read_date(text, ret_sec);
	sec = now_sec + direction * span_sec;
	if (sec < 0 || sec > WHEN_MAX_SEC)
		return false;
	*ret_sec = sec;
	return true;
}

bool when_read(const char *text, int64_t now_sec, int64_t *ret_sec)
{
	return read_point(text, now_sec, 1, ret_sec);
}

bool when_read_past(const char *text, int64_t now_sec, int64_t *ret_sec)
{
	return read_point(text, now_sec, -1, ret_sec);
}

char *when_date(int64_t sec, char *buffer, size_t capacity)
{
	const time_t time = (time_t)sec;
	struct tm parts;

	if (!gmtime_r(&time, &parts) ||
		strftime(buffer, capacity, "%Y-%m-%d %H:%M:%S", &parts) == 0)
		snprintf(buffer, capacity, "@%" PRId64, sec);
	return buffer;
}

/* The longest unit that is there twice, or the shortest. */
static const struct unit *choose_unit(int64_t distance_sec)
{
	for (size_t i = 0; i < COUNT(shown_units); i++)
		if (distance_sec >= 2 * shown_units[i].sec)
			return &shown_units[i];
	return &shown_units[COUNT(shown_units) - 1];
}

char *when_relative(int64_t sec, int64_t now_sec, char *buffer, size_t capacity)
{
	const bool is_ahead = sec > now_sec;
	const int64_t distance_sec = is_ahead ? sec - now_sec : now_sec - sec;
	const struct unit *unit = choose_unit(distance_sec);
	const int64_t count = distance_sec / unit->sec;

	if (count == 0)
		snprintf(buffer, capacity, "now");
	else
		snprintf(buffer, capacity, "%s%" PRId64 " %s%s%s", is_ahead ? "in " : "", count,
			unit->name, count == 1 ? "" : "s", is_ahead ? "" : " ago");
	return buffer;
}
