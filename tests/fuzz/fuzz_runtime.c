/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: any network through the runtime, from file to boxes. The input is five
 * bytes of options, the text of a cfg, and after a byte 0 the bytes of a .weights file
 * (without them: random weights). A .dpf file in place of the cfg is taken as it is;
 * what is behind its checksums has a target of its own.
 *
 * Networks that would take long, or much memory, are left out: what is too large is
 * refused by the graph, which fuzz_cfg looks at.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dpf/core/random.h"
#include "dpf/dpf.h"
#include "dpf/model/container_parts.h"
#include "dpf/model/graph.h"
#include "dpf/runtime/boxes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPTIONS = 5, MOST_FLOATS = 1 << 18, MOST_LAYERS = 64, MOST_OF_HEAD = 1 << 15 };
static const double most_products = 4e6;

/* A file in memory that has a path. */
typedef struct memory_file {
    int fd;
    char path[64];
} memory_file;

static memory_file files[2] = {{.fd = -1}, {.fd = -1}};

static void write_file(memory_file *f, const uint8_t *data, size_t size) {
    if (f->fd < 0) {
        f->fd = memfd_create("fuzz", 0);
        snprintf(f->path, sizeof f->path, "/proc/self/fd/%d", f->fd);
    }
    if (f->fd < 0 || ftruncate(f->fd, 0) || pwrite(f->fd, data, size, 0) != (ssize_t)size)
        abort();
}

/* Is it a network, and one that runs in milliseconds? */
static int is_small(const char *text, size_t size) {
    dpf_cfg *cfg;
    dpf_graph *graph;
    dpf_error err;
    if (dpf_cfg_parse(&cfg, "fuzz.cfg", text, size, &err) != DPF_OK)
        return 1; /* the loader will say so */
    int small = 1;
    if (dpf_graph_new(&graph, cfg, NULL, &err) == DPF_OK) {
        small = graph->count <= MOST_LAYERS && graph->parameters <= MOST_FLOATS && graph->inputs <= MOST_FLOATS &&
                graph->multiply_adds <= most_products;
        for (size_t i = 0; i < graph->count && small; ++i) {
            const dpf_graph_layer *l = &graph->layers[i];
            const double window = l->type == DPF_MAXPOOL || l->type == DPF_LOCAL_AVGPOOL ? l->size : 1;
            const int head = l->type == DPF_YOLO || l->type == DPF_REGION || l->type == DPF_DETECTION;
            /* each box that is suppressed is compared with all others */
            small = l->outputs <= (head ? MOST_OF_HEAD : MOST_FLOATS) && window * (double)l->outputs <= most_products &&
                    l->pad <= 1 << 12;
        }
        dpf_graph_free(graph);
    }
    dpf_cfg_free(cfg);
    return small;
}

static volatile double sink; /* so that every value is read */

static double sum_of(const float *x, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; ++i)
        sum += (double)x[i];
    return sum;
}

/* All that can be asked after a run. */
static void look(const dpf_model *m, dpf_context *c, int image) {
    dpf_output_info o;
    dpf_error err;
    const float *values;
    const dpf_object *found;
    dpf_detections boxes;
    size_t count;
    double sum = 0;
    for (size_t i = 0; dpf_model_output(m, i, &o, &err) == DPF_OK; ++i) {
        if (dpf_context_output(c, image, i, &values, &err) != DPF_OK)
            abort();
        sum += sum_of(values, o.floats);
    }
    const dpf_detect_options options = {.thresh = 0.01, .nms = (dpf_nms)(image % 4)};
    if (dpf_context_detections(c, image, &options, &found, &count, &err) == DPF_OK)
        for (size_t i = 0; i < count; ++i)
            sum += (double)found[i].probability;
    if (dpf_context_boxes(c, image, 0.005f, 30, 20, &boxes, &err) == DPF_OK)
        dpf_detections_suppress(&boxes, 0.45f);
    dpf_detections_free(&boxes);
    sink += sum;
}

static void run(const dpf_model *m, uint64_t seed) {
    dpf_context *c;
    dpf_model_info info;
    dpf_error err;
    unsigned char pixels[7 * 5 * 4];
    dpf_model_get_info(m, &info);
    if (dpf_context_new(&c, m, &err) != DPF_OK)
        abort();
    float *planes = malloc((info.inputs + 1) * sizeof *planes);
    for (size_t i = 0; planes && i < info.inputs; ++i)
        planes[i] = (float)(random_next(&seed) >> 40) / 16777216.0f;
    for (size_t i = 0; i < sizeof pixels; ++i)
        pixels[i] = (unsigned char)(random_next(&seed) >> 56);
    for (int turn = 0; turn < 2 && planes; ++turn) {
        for (int i = 0; i < info.batch; ++i) {
            dpf_status status = dpf_context_set_planes(c, i, planes, &err);
            if (!status && turn && info.channels >= 1 && info.channels <= 4)
                status = dpf_context_set_pixels(c, i, pixels, 7, 5, info.channels, (dpf_fit)(seed % 3), &err);
            if (status &&
                !(turn && status == DPF_ERR_RANGE)) /* a letterbox so narrow that no row of the picture is left */
                abort();
        }
        if (dpf_context_run(c, &err) != DPF_OK)
            abort();
        for (int i = 0; i < info.batch; ++i)
            look(m, c, i);
    }
    free(planes);
    dpf_context_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < OPTIONS)
        return 0;
    dpf_model_options o = {.threads = 1 + data[0] % 2,
                           .batch = 1 + data[1] % 2,
                           .kernels = (dpf_kernels)(data[2] % (DPF_KERNELS_BLAS + 1)),
                           .tune =
                               data[3] >= 240, /* seldom: it takes longer, but runs all kernels that can do a layer */
                           .keep_layers = data[3] % 2,
                           .global = data[3] / 2 % 2,
                           .sparsity = data[4] % 100 / 100.0,
                           .seed = data[4]};
    const uint8_t *text = data + OPTIONS, *end = memchr(text, 0, size - OPTIONS);
    const size_t length = end ? (size_t)(end - text) : size - OPTIONS;
    static const char magic[8] = DPFC_MAGIC_BYTES;
    const int container = size - OPTIONS >= sizeof magic && memcmp(text, magic, sizeof magic) == 0;
    dpf_model *m;
    dpf_error err;
    if (!container && !is_small((const char *)text, length))
        return 0;
    write_file(&files[0], text, container ? size - OPTIONS : length);
    if (end && !container)
        write_file(&files[1], end + 1, size - OPTIONS - length - 1);
    o.random = !end && !container;
    dpf_status status = dpf_model_load(&m, files[0].path, end && !container ? files[1].path : NULL, &o, &err);
    if (status ? m != NULL || !err.text[0] : !m)
        abort();
    if (m)
        run(m, o.seed);
    dpf_model_free(m);
    return 0;
}
