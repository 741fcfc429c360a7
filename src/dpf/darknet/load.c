/* SPDX-License-Identifier: MIT
 *
 * Pictures through Darknet's own loader and augmentation, one call a picture, pictures
 * shared out among all cores. Each picture has its own stream of random numbers, so
 * neither the number of threads nor their timing shows in the result.
 *
 * The pictures are decoded between iterations, not beside them: on the cores that the
 * convolutions use, a loader in the background costs more than it hides.
 */
#include "net.h"

#include <stdlib.h>

#include "random.h"

data load_data_augment(char **paths, int n, int m, char **labels, int k, tree *hierarchy, int min, int max, int size,
                       float angle, float aspect, float hue, float saturation, float exposure, int center);

void dn_data_free(dn_data *images) {
    if (!images)
        return;
    free_data(images->d);
    free(images);
}

const float *dn_data_planes(const dn_data *images, size_t i) {
    return images->d.X.vals[i];
}

dpf_status dn_data_new(dn_data **out, size_t count, int inputs, int truths, dpf_error *err) {
    dn_data *images = calloc(1, sizeof *images);
    *out = NULL;
    if (!images)
        return dpf_fail_memory(err, sizeof *images, "pictures");
    images->d.X = (matrix){.rows = (int)count, .cols = inputs, .vals = calloc(count + 1, sizeof(float *))};
    images->d.y = (matrix){.rows = (int)count, .cols = truths, .vals = calloc(count + 1, sizeof(float *))};
    if (!images->d.X.vals || !images->d.y.vals) {
        dn_data_free(images);
        return dpf_fail_memory(err, count * sizeof(float *), "pictures");
    }
    *out = images;
    return DPF_OK;
}

void dn_data_put(dn_data *images, size_t i, data one) {
    images->d.X.vals[i] = one.X.vals[0];
    images->d.y.vals[i] = one.y.vals[0];
    free(one.X.vals);
    free(one.y.vals);
}

void dn_resize(dn_net *dn, int side) {
    if (side == dn->width && side == dn->height)
        return;
    int saved = dn_mute(dn->quiet);
    resize_network(dn->net, side, side);
    dn_unmute(saved);
    dn_layout_place(&dn->hooks.layout, dn->net);
    dn->width = dn->height = side;
}

/* random=1: a new size every 40 iterations, as Darknet's classifier has it. */
static void follow_random_size(dn_net *dn, size_t iteration) {
    if (!dn->net->random)
        return;
    dn_random_set(dn->seed, DN_STREAM_SIZE, iteration / 40, 0);
    dn_resize(dn, (rand() % 11 + 4) * 32);
}

/* One picture for training: X and y of one row, owned by the caller. */
static data load_one(const dn_net *dn, const dn_load_args *args, size_t i) {
    const network *net = dn->net;
    char *path = (char *)args->paths[i]; /* Darknet only reads it */
    int side = dn->width;
    dn_random_set(dn->seed, DN_STREAM_IMAGE, args->iteration, i);
    return load_data_augment(&path, 1, 0, (char **)args->labels, args->classes, net->hierarchy,
                             (int)(net->min_ratio * (float)side), (int)(net->max_ratio * (float)side), side, net->angle,
                             net->aspect, net->hue, net->saturation, net->exposure, net->center);
}

/* One picture as `classifier valid` sees it, or all of it scaled. */
static float *load_plain(const dn_net *dn, const char *path, int all) {
    const int w = dn->net->w, h = dn->net->h;
    image whole = load_image_color((char *)path, 0, 0);
    image fit = all ? resize_image(whole, w, h) : center_crop_image(whole, w, h);
    free_image(whole);
    return fit.data;
}

dpf_status dn_load(dn_net *dn, const dn_load_args *args, dn_data **out, dpf_error *err) {
    size_t n = args->count;
    *out = NULL;
    if (args->augment)
        follow_random_size(dn, args->iteration);
    if (args->augment && dn->net->w != dn->net->h)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "Darknet augments to square pictures; the network's are %dx%d",
                        dn->net->w, dn->net->h);
    dn_data *images;
    dpf_status status = dn_data_new(&images, n, dn->net->w * dn->net->h * 3, args->classes, err);
    if (status != DPF_OK)
        return status;
    images->d.w = dn->net->w;
    images->d.h = dn->net->h;
#pragma omp parallel for num_threads(dn->threads) schedule(dynamic, 1)
    for (size_t i = 0; i < n; ++i) {
        if (args->augment)
            dn_data_put(images, i, load_one(dn, args, i));
        else
            images->d.X.vals[i] = load_plain(dn, args->paths[i], args->whole);
    }
    *out = images;
    return DPF_OK;
}

dpf_status dn_predict_file(dn_net *dn, const char *path, float *output, dpf_error *err) {
    image whole = load_image_color((char *)path, 0, 0);
    image fit = letterbox_image(whole, dn->net->w, dn->net->h);
    float *row = fit.data;
    dn_data one = {.d = {.X = {.rows = 1, .cols = dn->net->inputs, .vals = &row}}};
    dpf_status status = dn_predict(dn, &one, output, err);
    free_image(whole);
    free_image(fit);
    return status;
}
