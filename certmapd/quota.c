/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* quota.c owns the counting per uid, in a table of fixed size. */
#include "quota.h"

#define USEC_PER_SEC 1000000u

/* The slot of a uid; a slot whose uid has no connection may be taken over, and when all are busy
 * the latecomers share one, so that a million uids can't outgrow the table. */
static struct quota_uid *find_slot(struct quota *quota, uid_t uid, uint64_t now_usec)
{
	struct quota_uid *idle = NULL;

	for (size_t i = 0; i < QUOTA_UIDS; i++) {
		struct quota_uid *slot = &quota->uids[i];

		if (slot->is_used && slot->uid == uid)
			return slot;
		if (slot->connections == 0 && (!idle || slot->refilled_usec < idle->refilled_usec))
			idle = slot;
	}
	if (!idle)
		return &quota->others;
	*idle = (struct quota_uid){
		.uid = uid, .lines = QUOTA_LOG_BURST, .refilled_usec = now_usec, .is_used = true
	};
	return idle;
}

bool quota_take_connection(struct quota *quota, uid_t uid, uint64_t now_usec)
{
	struct quota_uid *slot = find_slot(quota, uid, now_usec);

	if (uid != 0 && slot->connections >= QUOTA_CONNECTIONS_PER_UID)
		return false;
	slot->connections++;
	return true;
}

void quota_give_connection(struct quota *quota, uid_t uid)
{
	struct quota_uid *slot = &quota->others;

	for (size_t i = 0; i < QUOTA_UIDS; i++)
		if (quota->uids[i].is_used && quota->uids[i].uid == uid &&
			quota->uids[i].connections > 0)
			slot = &quota->uids[i];
	if (slot->connections > 0)
		slot->connections--;
}

bool quota_take_line(struct quota *quota, uid_t uid, uint64_t now_usec, unsigned *ret_suppressed)
{
	struct quota_uid *slot = find_slot(quota, uid, now_usec);
	uint64_t earned = (now_usec - slot->refilled_usec) * QUOTA_LOG_PER_SEC / USEC_PER_SEC;

	if (earned > 0) {
		slot->lines = earned >= QUOTA_LOG_BURST - slot->lines
				      ? QUOTA_LOG_BURST
				      : slot->lines + (unsigned)earned;
		slot->refilled_usec = now_usec;
	}
	if (uid != 0 && slot->lines == 0) {
		slot->suppressed++;
		return false;
	}
	if (slot->lines > 0)
		slot->lines--;
	*ret_suppressed = slot->suppressed;
	slot->suppressed = 0;
	return true;
}
