/* SPDX-License-Identifier: MIT
 *
 * Running a model.
 */
#include "context.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

float *rt_memory(const dpf_context *c, size_t array) {
    return c->arena + c->model->arrays[array].offset;
}

dpf_status rt_grow(float **array, size_t *room, size_t count, dpf_error *err) {
    if (count <= *room)
        return DPF_OK;
    if (count > SIZE_MAX / sizeof **array)
        return dpf_fail_memory(err, count, "a picture");
    float *grown = malloc(count * sizeof *grown);
    if (!grown)
        return dpf_fail_memory(err, count * sizeof *grown, "a picture");
    free(*array);
    *array = grown;
    *room = count;
    return DPF_OK;
}

static dpf_status bind_calls(dpf_context *c, dpf_error *err) {
    for (size_t i = 0; i < c->model->step_count; ++i) {
        const rt_step *s = &c->model->steps[i];
        if (s->dense)
            RT_TRY(dense_call_new(&c->calls[i], s->dense, rt_memory(c, s->in[0]), rt_memory(c, s->out),
                                  s->scratch == RT_NONE ? NULL : rt_memory(c, s->scratch), err));
    }
    return DPF_OK;
}

dpf_status dpf_context_new(dpf_context **out, const dpf_model *m, dpf_error *err) {
    *out = NULL;
    dpf_context *c = calloc(1, sizeof *c);
    if (!c)
        return dpf_fail_memory(err, sizeof *c, "a context");
    c->model = m;
    size_t bytes = (m->arena_floats * sizeof(float) + 63) / 64 * 64;
    c->arena = aligned_alloc(64, bytes ? bytes : 64);
    c->calls = calloc(m->step_count + 1, sizeof(dense_call *)); /* NOLINT(bugprone-sizeof-expression): pointers */
    c->in = calloc(m->most_inputs + 1, sizeof *c->in);
    c->pictures = calloc((size_t)m->batch, sizeof *c->pictures);
    dpf_status status = DPF_OK;
    if (!c->arena || !c->calls || !c->in || !c->pictures)
        status = dpf_fail_memory(err, bytes, "a context");
    else
        status = bind_calls(c, err);
    if (status) {
        dpf_context_free(c);
        return status;
    }
    memset(c->arena, 0, bytes);
    *out = c;
    return DPF_OK;
}

void dpf_context_free(dpf_context *c) {
    if (!c)
        return;
    for (size_t i = 0; c->calls && i < c->model->step_count; ++i)
        dense_call_free(c->calls[i]);
    free(c->calls);
    free(c->in);
    free(c->arena);
    free(c->pictures);
    free(c->part);
    free(c->found);
    free(c);
}

dpf_status rt_check_image(const dpf_context *c, int image, dpf_error *err) {
    if (image < 0 || image >= c->model->batch)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "picture %d of %d", image, c->model->batch);
    return DPF_OK;
}

dpf_status dpf_context_set_planes(dpf_context *c, int image, const float *planes, dpf_error *err) {
    RT_TRY(rt_check_image(c, image, err));
    size_t floats = c->model->graph->inputs;
    memcpy(rt_memory(c, c->model->input) + (size_t)image * floats, planes, floats * sizeof *planes);
    c->pictures[image] = (rt_picture){0};
    return DPF_OK;
}

static dpf_status run_step(dpf_context *c, size_t i) {
    const rt_step *s = &c->model->steps[i];
    float *out = rt_memory(c, s->out), *scratch = s->scratch == RT_NONE ? c->arena : rt_memory(c, s->scratch);
    if (s->dense)
        return dense_call_run(c->calls[i]);
    if (s->sparse) {
        spconv_run(s->sparse, rt_memory(c, s->in[0]), out, scratch);
        return DPF_OK;
    }
    if (s->depthwise) {
        depthwise_run(s->depthwise, rt_memory(c, s->in[0]), out);
        return DPF_OK;
    }
    for (size_t k = 0; k < s->in_count; ++k)
        c->in[k] = rt_memory(c, s->in[k]);
    const rt_run r = {c->model, s, c->in, out, scratch};
    if (c->model->threads == 1) { /* OpenMP would allocate a team of one */
        s->run(&r);
        return DPF_OK;
    }
#pragma omp parallel num_threads(c->model->threads)
    s->run(&r);
    return DPF_OK;
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* oneDNN takes the number of threads of the calling thread, a setting that each thread has for itself. */
dpf_status dpf_context_run_timed(dpf_context *c, double *step_ms, dpf_error *err) {
    int before = omp_get_max_threads();
    dpf_status status = DPF_OK;
    omp_set_num_threads(c->model->threads);
    for (size_t i = 0; i < c->model->step_count && !status; ++i) {
        double start = step_ms ? now_ms() : 0;
        status = run_step(c, i);
        if (step_ms)
            step_ms[i] += now_ms() - start;
        if (status)
            dpf_fail(err, status, "%s: layer %zu (%s): oneDNN could not run it", c->model->cfg->file,
                     c->model->steps[i].number, c->model->steps[i].what);
    }
    omp_set_num_threads(before);
    return status;
}

dpf_status dpf_context_run(dpf_context *c, dpf_error *err) {
    return dpf_context_run_timed(c, NULL, err);
}

dpf_status dpf_context_output(const dpf_context *c, int image, size_t index, const float **out, dpf_error *err) {
    dpf_output_info info;
    *out = NULL;
    RT_TRY(rt_check_image(c, image, err));
    RT_TRY(dpf_model_output(c->model, index, &info, err));
    *out = rt_memory(c, c->model->outputs[index].array) + (size_t)image * info.floats;
    return DPF_OK;
}
