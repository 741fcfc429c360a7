/* SPDX-License-Identifier: MIT
 *
 * Where each array lies in the arena. Steps run in order, so an array needs its memory
 * from the step that writes it to the last that reads it. The largest arrays are placed
 * first, each at the lowest offset where no array of the same time is.
 */
#include "model.h"

#include <stdint.h>
#include <stdlib.h>

#define ALIGN ((size_t)16) /* floats */

static size_t root_of(const dpf_model *m, size_t array) {
    while (m->arrays[array].share != RT_NONE)
        array = m->arrays[array].share;
    return array;
}

/* The memory of a view is that of what it shows: it lives as long as both. */
static void lengthen(dpf_model *m, size_t array) {
    rt_array *root = &m->arrays[root_of(m, array)];
    if (m->arrays[array].last > root->last)
        root->last = m->arrays[array].last;
}

/* Steps whose first input is needed no more write over it. */
static void share_in_place(dpf_model *m) {
    for (size_t i = 0; i < m->array_count; ++i)
        lengthen(m, i);
    for (size_t i = 0; i < m->step_count; ++i) {
        const rt_step *s = &m->steps[i];
        if (!s->in_place)
            continue;
        size_t root = root_of(m, s->in[0]);
        rt_array *out = &m->arrays[s->out];
        if (m->arrays[root].last != i || m->arrays[root].floats != out->floats)
            continue;
        int read_twice = 0;
        for (size_t k = 1; k < s->in_count; ++k)
            read_twice |= root_of(m, s->in[k]) == root;
        if (read_twice)
            continue;
        out->share = root;
        lengthen(m, s->out);
        /* views of the output were lengthened into it before: they go on to the root */
    }
}

typedef struct place {
    size_t array, floats, offset;
} place;

static int by_size(const void *a, const void *b) {
    const place *x = a, *y = b;
    if (x->floats != y->floats)
        return x->floats > y->floats ? -1 : 1;
    return x->array < y->array ? -1 : x->array > y->array;
}

static int same_time(const rt_array *a, const rt_array *b) {
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest offset for places[at] among those before it, of which `order` holds the ones of its
 * time, by offset. */
static size_t find_offset(const dpf_model *m, const place *places, size_t at, size_t *order) {
    const rt_array *a = &m->arrays[places[at].array];
    size_t count = 0, offset = 0;
    for (size_t i = 0; i < at; ++i) {
        if (!same_time(a, &m->arrays[places[i].array]))
            continue;
        size_t k = count++;
        for (; k > 0 && places[order[k - 1]].offset > places[i].offset; --k)
            order[k] = order[k - 1];
        order[k] = i;
    }
    for (size_t k = 0; k < count; ++k) {
        const place *p = &places[order[k]];
        if (p->offset >= offset + places[at].floats)
            break;
        if (p->offset + p->floats > offset)
            offset = p->offset + p->floats;
    }
    return offset;
}

dpf_status rt_plan_memory(dpf_model *m, dpf_error *err) {
    size_t count = 0;
    place *places = calloc(m->array_count, sizeof *places);
    size_t *order = calloc(m->array_count, sizeof *order);
    dpf_status status = DPF_OK;
    if (!places || !order) {
        status = dpf_fail_memory(err, m->array_count * sizeof *places, "a plan");
        goto end;
    }
    share_in_place(m);
    for (size_t i = 0; i < m->array_count; ++i)
        if (m->arrays[i].share == RT_NONE)
            places[count++] = (place){i, (m->arrays[i].floats + ALIGN - 1) / ALIGN * ALIGN, 0};
    qsort(places, count, sizeof *places, by_size);
    for (size_t i = 0; i < count; ++i) {
        places[i].offset = find_offset(m, places, i, order);
        size_t end = places[i].offset + places[i].floats;
        if (end < places[i].offset || end > SIZE_MAX / 8) {
            status = dpf_fail(err, DPF_ERR_RANGE, "%s: the network's arrays are too large", m->cfg->file);
            goto end;
        }
        m->arrays[places[i].array].offset = places[i].offset;
        m->arena_floats = end > m->arena_floats ? end : m->arena_floats;
    }
    for (size_t i = 0; i < m->array_count; ++i)
        m->arrays[i].offset = m->arrays[root_of(m, i)].offset;
end:
    free(places);
    free(order);
    return status;
}
