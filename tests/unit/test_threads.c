/* SPDX-License-Identifier: MIT
 *
 * Several threads on one model, and several models at once: bit for bit what each gives
 * alone. `make tsan` runs this under the thread sanitizer, with an OpenMP that tells it
 * who waits for whom.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime_world.h"

enum { JOBS = 3, RUNS = 20, INPUTS = 32 * 32 * 3, MOST_OBJECTS = 64 };

/* What one thread asks of a model, again and again, and what it shall get. */
typedef struct job {
    const dpf_model *model;
    float *input, *want;
    size_t floats, objects;
    dpf_object found[MOST_OBJECTS];
    int bad;
} job;

/* One run: values of the last output and boxes. They belong to the context. */
static int run_once(const job *j, dpf_context *c, const float **values, const dpf_object **found, size_t *count) {
    dpf_error err;
    dpf_model_info info;
    const dpf_detect_options options = {.thresh = 0.05};
    dpf_model_get_info(j->model, &info);
    return dpf_context_set_planes(c, 0, j->input, &err) || dpf_context_run(c, &err) ||
           dpf_context_output(c, 0, info.outputs - 1, values, &err) ||
           dpf_context_detections(c, 0, &options, found, count, &err);
}

static int same_objects(const job *j, const dpf_object *found, size_t count) {
    int same = count == j->objects;
    for (size_t i = 0; i < count && i < MOST_OBJECTS && same; i++) {
        const dpf_object *a = &found[i], *b = &j->found[i];
        same = a->box == b->box && a->class_id == b->class_id && a->probability == b->probability && a->x == b->x &&
               a->y == b->y && a->w == b->w && a->h == b->h;
    }
    return same;
}

static void *run_job(void *at) {
    job *j = at;
    dpf_context *c;
    dpf_error err;
    const float *values;
    const dpf_object *found;
    size_t count;
    j->bad = dpf_context_new(&c, j->model, &err) != DPF_OK;
    for (int i = 0; i < RUNS && !j->bad; i++)
        j->bad = run_once(j, c, &values, &found, &count) || memcmp(values, j->want, j->floats * sizeof *values) != 0 ||
                 !same_objects(j, found, count);
    dpf_context_free(c);
    return NULL;
}

/* The same alone. */
static void prepare(job *j, uint64_t seed) {
    dpf_context *c;
    dpf_error err;
    const float *values;
    const dpf_object *found;
    dpf_output_info o;
    dpf_model_info info;
    dpf_model_get_info(j->model, &info);
    assert_int_equal(dpf_model_output(j->model, info.outputs - 1, &o, &err), DPF_OK);
    j->input = world_input(INPUTS, seed);
    j->floats = o.floats;
    j->want = malloc(o.floats * sizeof *j->want);
    assert_non_null(j->want);
    assert_int_equal(dpf_context_new(&c, j->model, &err), DPF_OK);
    assert_int_equal(run_once(j, c, &values, &found, &j->objects), 0);
    memcpy(j->want, values, o.floats * sizeof *values);
    memcpy(j->found, found, (j->objects < MOST_OBJECTS ? j->objects : MOST_OBJECTS) * sizeof *found);
    assert_true(j->objects > 0);
    dpf_context_free(c);
}

/* Two inputs on model a and one on model b, all at once. */
static void check(const dpf_model_options *a_options, const dpf_model_options *b_options) {
    dpf_model *a = world_load(world_detector, *a_options), *b = world_load(world_detector, *b_options);
    job jobs[JOBS] = {{.model = a}, {.model = a}, {.model = b}};
    pthread_t threads[JOBS];
    for (size_t i = 0; i < JOBS; i++)
        prepare(&jobs[i], i);
    assert_int_not_equal(memcmp(jobs[0].want, jobs[1].want, jobs[0].floats * sizeof(float)), 0);
    for (size_t i = 0; i < JOBS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_job, &jobs[i]), 0);
    for (size_t i = 0; i < JOBS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < JOBS; i++) {
        if (jobs[i].bad)
            fail_msg("kernels %d and %d, %d and %d threads: job %zu differs", (int)a_options->kernels,
                     (int)b_options->kernels, a_options->threads, b_options->threads, i);
        free(jobs[i].input);
        free(jobs[i].want);
    }
    dpf_model_free(a);
    dpf_model_free(b);
}

static void test_threads(void **unused) {
    (void)unused;
    for (int k = DPF_KERNELS_AUTO; k <= DPF_KERNELS_BLAS; k++)
        for (int threads = 1; threads <= 2; threads++) {
            const dpf_model_options a = {.threads = threads, .kernels = (dpf_kernels)k, .sparsity = 0.8};
            const dpf_model_options b = {.threads = 3 - threads, .seed = 3};
            check(&a, &b);
        }
}

/* Models that are loaded, tuned and freed at the same time. */
static void *load_job(void *at) {
    int *bad = at;
    for (int i = 0; i < 3; i++) {
        const dpf_model_options o = {.threads = 1, .random = 1, .seed = (uint64_t)i, .sparsity = 0.5, .tune = i % 2};
        dpf_model *m;
        dpf_context *c = NULL;
        dpf_error err;
        *bad |= dpf_model_load(&m, world_path(), NULL, &o, &err) || dpf_context_new(&c, m, &err) ||
                dpf_context_run(c, &err);
        dpf_context_free(c);
        dpf_model_free(m);
    }
    return NULL;
}

static void test_loading(void **unused) {
    (void)unused;
    pthread_t threads[2];
    int bad[2] = {0};
    world_write(world_detector);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, load_job, &bad[i]), 0);
    for (size_t i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_false(bad[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads), cmocka_unit_test(test_loading)};
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
