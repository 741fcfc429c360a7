/* SPDX-License-Identifier: MIT
 *
 * The last layers: softmax, and what turns a detector's values into coordinates,
 * objectness and probabilities. All on plain arrays, in place where the input is not
 * needed any more.
 */
#include "model.h"

#include <float.h>
#include <math.h>

#include "../kernels/activate.h"
#include "../kernels/plane.h"

static void softmax(const float *in, float *out, size_t count, size_t stride, float temperature) {
    float most = -FLT_MAX, sum = 0;
    for (size_t i = 0; i < count; ++i)
        most = in[i * stride] > most ? in[i * stride] : most;
    for (size_t i = 0; i < count; ++i) {
        float e = expf(in[i * stride] / temperature - most / temperature);
        sum += e;
        out[i * stride] = e;
    }
    for (size_t i = 0; i < count; ++i)
        out[i * stride] /= sum;
}

void rt_softmax(const rt_run *r) {
    const dpf_graph_layer *l = r->step->layer;
    size_t groups = (size_t)l->groups * (size_t)r->model->batch, count = l->inputs / (size_t)l->groups;
#pragma omp for schedule(static)
    for (size_t g = 0; g < groups; ++g)
        softmax(r->in[0] + g * count, r->out + g * count, count, 1, l->temperature);
}

/* Planes of each box: x, y, w, h, objectness, classes. */
void rt_yolo(const rt_run *r) {
    const dpf_graph_layer *l = r->step->layer;
    const dpf_head *head = &l->head;
    const plane_ops *ops = dpf_plane_ops();
    size_t area = (size_t)l->w * (size_t)l->h, values = (size_t)head->classes + 5;
    size_t planes = (size_t)r->model->batch * (size_t)head->num * values;
    rt_take_input(r);
#pragma omp for schedule(static)
    for (size_t p = 0; p < planes; ++p) {
        float *x = r->out + p * area;
        size_t value = p % values;
        if (!head->new_coords && value != 2 && value != 3)
            dpf_activate_array(x, area, DPF_LOGISTIC_ACT, 1);
        if (value < 2 && head->scale_x_y != 1)
            ops->affine(x, x, area, head->scale_x_y, -0.5f * (head->scale_x_y - 1), DPF_LINEAR_ACT);
    }
}

/* Planes of each box: x, y, w, h, other coordinates, objectness, classes. With `background` the
 * softmax takes the place of objectness for one more class. */
void rt_region(const rt_run *r) {
    const dpf_graph_layer *l = r->step->layer;
    const dpf_head *head = &l->head;
    size_t area = (size_t)l->w * (size_t)l->h, coords = (size_t)head->coords, classes = (size_t)head->classes;
    size_t values = coords + 1 + classes, boxes = (size_t)r->model->batch * (size_t)head->num;
    size_t first = coords + (head->background ? 0 : 1), count = classes + (head->background ? 1 : 0);
    rt_take_input(r);
#pragma omp for schedule(static)
    for (size_t b = 0; b < boxes; ++b) {
        float *x = r->out + b * values * area;
        dpf_activate_array(x, 2 * area, DPF_LOGISTIC_ACT, 1);
        if (!head->background)
            dpf_activate_array(x + coords * area, area, DPF_LOGISTIC_ACT, 1);
        if (head->softmax)
            for (size_t i = 0; i < area; ++i)
                softmax(x + first * area + i, x + first * area + i, count, area, 1);
        else
            dpf_activate_array(x + (coords + 1) * area, classes * area, DPF_LOGISTIC_ACT, 1);
    }
}

void rt_detection(const rt_run *r) {
    const dpf_graph_layer *l = r->step->layer;
    size_t classes = (size_t)l->head.classes, cells = (size_t)l->head.side * (size_t)l->head.side;
    rt_take_input(r);
#pragma omp for schedule(static)
    for (size_t n = 0; n < (size_t)r->model->batch; ++n)
        for (size_t i = 0; l->head.softmax && i < cells; ++i) {
            float *x = r->out + n * l->outputs + i * classes;
            softmax(x, x, classes, 1, 1);
        }
}
