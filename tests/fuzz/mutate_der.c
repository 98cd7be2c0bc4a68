/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mutate_der.c owns a mutation that keeps an input DER: it changes, doubles or drops one element,
 * and mends the length of every element around it. Without it nearly every mutation ends at the
 * first wrong length. Three times in eight; otherwise libFuzzer mutates the bytes as it likes.
 *
 * An input may be a list of parts, each with a kind and a length of two bytes, as fuzz_trust.c has
 * them: then it is one of the parts that is changed. No certificate begins as such a list does.
 */
#include "fuzz.h"

#include <stdlib.h>

#define DEPTH_MAX 12u
#define PART_HEADER_BYTES 3u
#define DER_MAX_BYTES 65535u
#define CONSTRUCTED 0x20u

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

/* An element and where its content stands, as offsets. */
struct element {
	size_t start, content, end;
};

struct random {
	uint32_t state;
};

static uint32_t draw(struct random *random, uint32_t below)
{
	/* Numerical Recipes' generator: any will do. */
	random->state = random->state * 1664525u + 1013904223u;
	return below > 0 ? (random->state >> 8) % below : 0;
}

static bool read_element(const uint8_t *der, size_t at, size_t end, struct element *ret)
{
	size_t length, octets;

	if (end - at < 2 || (der[at] & 0x1f) == 0x1f)
		return false;
	ret->start = at;
	length = der[at + 1];
	at += 2;
	if (length >= 0x80) {
		octets = length - 0x80;
		if (octets == 0 || octets > 3 || octets > end - at)
			return false;
		for (length = 0; octets > 0; octets--)
			length = length << 8 | der[at++];
	}
	if (length > end - at)
		return false;
	ret->content = at;
	ret->end = at + length;
	return true;
}

static size_t count_children(const uint8_t *der, const struct element *parent)
{
	struct element child;
	size_t count = 0;

	for (size_t at = parent->content; at < parent->end; at = child.end, count++)
		if (!read_element(der, at, parent->end, &child))
			return 0;
	return count;
}

/* The way from the whole to a random element; returns its length. OCTET STRING and BIT STRING may
 * hold elements too: then they are gone into, as extensions and keys are. */
static size_t choose_path(
	const uint8_t *der, size_t size, struct random *random, struct element path[DEPTH_MAX])
{
	size_t depth = 0, count, turn;

	if (!read_element(der, 0, size, &path[0]) || path[0].end != size)
		return 0;
	for (depth = 1; depth < DEPTH_MAX; depth++) {
		const struct element *parent = &path[depth - 1];
		const uint8_t tag = der[parent->start];
		struct element *child = &path[depth];

		if (!(tag & CONSTRUCTED) && tag != 0x04)
			break;
		count = count_children(der, parent);
		if (count == 0 || (depth > 2 && draw(random, 4) == 0))
			break;
		turn = draw(random, (uint32_t)count);
		for (size_t at = parent->content;; at = child->end) {
			(void)read_element(der, at, parent->end, child);
			if (turn-- == 0)
				break;
		}
	}
	return depth;
}

static size_t header_of(uint8_t tag, size_t length, uint8_t ret[6])
{
	size_t octets = 0, at = 0;

	ret[at++] = tag;
	if (length < 0x80) {
		ret[at++] = (uint8_t)length;
		return at;
	}
	for (size_t rest = length; rest > 0; rest >>= 8)
		octets++;
	ret[at++] = (uint8_t)(0x80 | octets);
	while (octets-- > 0)
		ret[at++] = (uint8_t)(length >> (8 * octets));
	return at;
}

static void add(uint8_t *into, size_t *length, const uint8_t *bytes, size_t count)
{
	memcpy(into + *length, bytes, count);
	*length += count;
}

/* Puts a header before what stands in `into`. */
static void wrap(uint8_t tag, uint8_t *into, size_t *length)
{
	uint8_t header[6];
	const size_t header_length = header_of(tag, *length, header);

	memmove(into + header_length, into, *length);
	memcpy(into, header, header_length);
	*length += header_length;
}

/* What stands in the place of the element: `into` has room for three times the whole and more. */
static size_t change_element(const uint8_t *der, const struct element *element,
	struct random *random, size_t room, uint8_t *into)
{
	const size_t whole = element->end - element->start;
	size_t length = 0;

	switch (draw(random, 8)) {
	case 0:
		return 0;
	case 1:
		add(into, &length, der + element->start, whole);
		add(into, &length, der + element->start, whole);
		return length;
	case 2:
		add(into, &length, der + element->content, element->end - element->content);
		wrap((uint8_t)draw(random, 256), into, &length);
		return length;
	default:
		add(into, &length, der + element->content, element->end - element->content);
		length = LLVMFuzzerMutate(into, length, length + room);
		wrap(der[element->start], into, &length);
		return length;
	}
}

/* From the changed element outwards. */
static size_t rebuild(
	const uint8_t *der, const struct element *path, size_t depth, uint8_t *work, size_t length)
{
	while (depth-- > 1) {
		const struct element *child = &path[depth], *parent = &path[depth - 1];
		const size_t before = child->start - parent->content;

		memmove(work + before, work, length);
		memcpy(work, der + parent->content, before);
		length += before;
		add(work, &length, der + child->end, parent->end - child->end);
		wrap(der[parent->start], work, &length);
	}
	return length;
}

/* The new size; 0: it is no DER, or does not fit. */
static size_t mutate_der(uint8_t *data, size_t size, size_t max_size, struct random *random)
{
	struct element path[DEPTH_MAX];
	const size_t depth = choose_path(data, size, random, path);
	const size_t room = draw(random, 4) == 0 ? 300 : 16;
	uint8_t *work;
	size_t length;

	if (depth == 0 || size > DER_MAX_BYTES || !(work = malloc(3 * size + 1024)))
		return 0;
	length = change_element(data, &path[depth - 1], random, room, work);
	length = rebuild(data, path, depth, work, length);
	if (length > max_size)
		length = 0;
	memcpy(data, work, length);
	free(work);
	return length;
}

/* The offset of a random part's header; `size`: the input is no such list. */
static size_t choose_part(const uint8_t *data, size_t size, struct random *random)
{
	size_t starts[32], count = 0, at = 0, length;

	while (size - at >= PART_HEADER_BYTES && count < sizeof(starts) / sizeof(starts[0])) {
		length = (size_t)data[at + 1] << 8 | data[at + 2];
		if (length > size - at - PART_HEADER_BYTES)
			break;
		starts[count++] = at;
		at += PART_HEADER_BYTES + length;
	}
	return count > 0 ? starts[draw(random, (uint32_t)count)] : size;
}

static size_t mutate_part(uint8_t *data, size_t size, size_t max_size, struct random *random)
{
	const size_t start = choose_part(data, size, random);
	size_t length, after, changed;
	uint8_t *part;

	if (start == size)
		return 0;
	length = (size_t)data[start + 1] << 8 | data[start + 2];
	after = start + PART_HEADER_BYTES + length;
	if (!(part = malloc(DER_MAX_BYTES)))
		return 0;
	memcpy(part, data + start + PART_HEADER_BYTES, length);
	changed = mutate_der(part, length, DER_MAX_BYTES, random);
	if (changed == 0 || size - length + changed > max_size) {
		free(part);
		return 0;
	}
	memmove(data + start + PART_HEADER_BYTES + changed, data + after, size - after);
	memcpy(data + start + PART_HEADER_BYTES, part, changed);
	data[start + 1] = (uint8_t)(changed >> 8);
	data[start + 2] = (uint8_t)changed;
	free(part);
	return size - length + changed;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	struct random random = { seed };
	size_t length = 0;

	if (size > 4 && draw(&random, 8) < 3)
		length = data[0] == 0x30 ? mutate_der(data, size, max_size, &random)
					 : mutate_part(data, size, max_size, &random);
	return length > 0 ? length : LLVMFuzzerMutate(data, size, max_size);
}
