/* SPDX-License-Identifier: MIT
 *
 * Detectors: pictures with boxes through Darknet's own loader and augmentation, and the
 * boxes that a network finds in a picture.
 *
 * What must stay true: a picture's augmentation is a function of (seed, iteration, its
 * place in the iteration) and the network's size one of (seed, iteration), so that
 * neither threads nor a resumed run change anything.
 */
#include "net.h"

#include <stdlib.h>
#include <string.h>

#include "interpose.h"
#include "random.h"

/* darknet.h leaves it out. */
data load_data_detection(int n, char **paths, int m, int w, int h, int boxes, int classes, float jitter, float hue,
                         float saturation, float exposure);

/* As Darknet's detector trains: ten sizes, and the largest for the last 200 iterations. */
enum { SIZE_EVERY = 10, SMALLEST = 10, SIZES = 10, SIZE_STEP = 32, LAST_ITERATIONS = 200, LAST_SIDE = 608 };

static const layer *head_of(const dn_net *dn) {
    return &dn->net->layers[dn->net->n - 1];
}

/* Kinds that resize_network knows; it ends the program at any other. */
static int can_resize(LAYER_TYPE type) {
    static const LAYER_TYPE kinds[] = {CONVOLUTIONAL, CROP,     MAXPOOL, REGION,        YOLO,  ROUTE,
                                       SHORTCUT,      UPSAMPLE, AVGPOOL, NORMALIZATION, REORG, COST};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i)
        if (kinds[i] == type)
            return 1;
    return 0;
}

dpf_status dn_check_detector(const dn_net *dn, int training, dpf_error *err) {
    const layer *head = head_of(dn);
    const dpf_graph *graph = dn->graph;
    const dpf_graph_layer *last = &graph->layers[graph->count - 1];
    if (head->type != YOLO && head->type != REGION)
        return dpf_fail(err, DPF_ERR_MISMATCH,
                        "%s:%d: the last layer is [%s]; a detector ends with [yolo] or [region] "
                        "([detection] belongs to Darknet's verb yolo)",
                        graph->cfg->file, last->line, dpf_layer_type_name(last->type));
    if (!training)
        return DPF_OK;
    if (!(last->head.jitter >= 0 && last->head.jitter < 1))
        return dpf_fail(err, DPF_ERR_RANGE, "%s:%d: jitter=%g: must be at least 0 and below 1", graph->cfg->file,
                        last->line, (double)last->head.jitter);
    for (int i = 0; head->random && i < dn->net->n; ++i)
        if (!can_resize(dn->net->layers[i].type))
            return dpf_fail(err, DPF_ERR_UNSUPPORTED,
                            "%s:%d: layer %d (%s) keeps its size, so random=1 of the last layer cannot be; set "
                            "random=0 there",
                            graph->cfg->file, graph->layers[i].line, i, dpf_layer_type_name(graph->layers[i].type));
    return DPF_OK;
}

static void follow_random_size(dn_net *dn, size_t iteration) {
    if (!head_of(dn)->random)
        return;
    dn_random_set(dn->seed, DN_STREAM_SIZE, iteration / SIZE_EVERY, 0);
    int side = (rand() % SIZES + SMALLEST) * SIZE_STEP;
    const size_t decided = iteration / SIZE_EVERY * SIZE_EVERY, most = (size_t)dn->net->max_batches;
    if (dn->net->max_batches > 0 && decided + LAST_ITERATIONS > most)
        side = LAST_SIDE;
    dn_resize(dn, side);
}

static data load_one(const dn_net *dn, const dn_load_boxes_args *args, size_t i) {
    const network *net = dn->net;
    const layer *head = head_of(dn);
    char *path = (char *)args->paths[i]; /* Darknet only reads it */
    dn_random_set(dn->seed, DN_STREAM_IMAGE, args->iteration, i);
    dn_interpose_boxes(&args->boxes[i]);
    data one = load_data_detection(1, &path, 1, net->w, net->h, net->truths / 5, head->classes, head->jitter, net->hue,
                                   net->saturation, net->exposure);
    dn_interpose_boxes(NULL);
    return one;
}

dpf_status dn_load_boxes(dn_net *dn, const dn_load_boxes_args *args, dn_data **out, dpf_error *err) {
    const size_t n = args->count;
    *out = NULL;
    follow_random_size(dn, args->iteration);
    dn_data *images;
    dpf_status status = dn_data_new(&images, n, dn->net->inputs, dn->net->truths, err);
    if (status != DPF_OK)
        return status;
#pragma omp parallel for num_threads(dn->threads) schedule(dynamic, 1)
    for (size_t i = 0; i < n; ++i)
        dn_data_put(images, i, load_one(dn, args, i));
    *out = images;
    return DPF_OK;
}

void dn_picture_read(dn_picture *out, const char *path, int w, int h, int letterbox) {
    image whole = load_image_color((char *)path, 0, 0);
    image scaled = letterbox ? letterbox_image(whole, w, h) : resize_image(whole, w, h);
    *out = (dn_picture){.w = whole.w, .h = whole.h, .planes = whole.data, .scaled = scaled.data};
}

void dn_picture_free(dn_picture *picture) {
    free(picture->planes);
    free(picture->scaled);
    *picture = (dn_picture){0};
}

dpf_status dn_detect(dn_net *dn, const float *scaled, int w, int h, float threshold, dpf_detections *out,
                     dpf_error *err) {
    network *net = dn->net;
    const int classes = head_of(dn)->classes;
    int count = 0;
    *out = (dpf_detections){0};
    dn_interpose(!dn->unhooked);
    network_predict(net, (float *)scaled); /* only read */
    if (dn->hooks.error.status != DPF_OK) {
        if (err)
            *err = dn->hooks.error;
        return dn->hooks.error.status;
    }
    /* a picture of the network's own size has no letterbox to be taken out */
    detection *found = get_network_boxes(net, w ? w : net->w, h ? h : net->h, threshold, .5f, NULL, 1, &count);
    dpf_status status = dpf_detections_new(out, (size_t)count, classes, err);
    out->count = 0;
    for (int i = 0; i < count && !status; ++i) {
        if (found[i].objectness <= 0) /* a region layer lists all its boxes */
            continue;
        dpf_detection *d = &out->list[out->count++];
        d->box = (dpf_box){found[i].bbox.x, found[i].bbox.y, found[i].bbox.w, found[i].bbox.h};
        d->objectness = found[i].objectness;
        memcpy(d->prob, found[i].prob, (size_t)classes * sizeof *d->prob);
    }
    free_detections(found, count);
    return status;
}
