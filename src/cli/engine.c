/* SPDX-License-Identifier: MIT
 *
 * See engine.h: Darknet's network, with our convolutions in it.
 */
#include "engine.h"

#include <stdlib.h>

struct engine {
    dn_net *net;
    int owned;
    dn_info info;
};

dpf_status engine_wrap(engine **out, dn_net *net, dpf_error *err) {
    *out = NULL;
    dpf_status status = dn_check_detector(net, 0, err);
    if (status)
        return status;
    engine *e = calloc(1, sizeof *e);
    if (!e)
        return dpf_fail_memory(err, sizeof *e, "a network");
    e->net = net;
    dn_get_info(net, &e->info);
    *out = e;
    return DPF_OK;
}

dpf_status engine_open(engine **out, const engine_args *args, dpf_error *err) {
    const dn_open_args open = {
        .cfg_path = args->cfg,
        .weights_path = args->weights,
        .dpf_path = args->dpf,
        .batch = 1,
        .threads = args->threads,
        .quiet = 1,
    };
    dn_net *net = NULL;
    *out = NULL;
    dpf_status status = dn_open(&net, &open, err);
    if (!status)
        status = engine_wrap(out, net, err);
    if (status)
        dn_close(net);
    else
        (*out)->owned = 1;
    return status;
}

void engine_close(engine *e) {
    if (e && e->owned)
        dn_close(e->net);
    free(e);
}

int engine_width(const engine *e) {
    return e->info.width;
}

int engine_height(const engine *e) {
    return e->info.height;
}

int engine_classes(const engine *e) {
    const dpf_graph *graph = dn_graph(e->net);
    return graph->layers[graph->count - 1].head.classes;
}

const char *engine_cfg(const engine *e) {
    return dn_graph(e->net)->cfg->file;
}

dpf_status engine_detect(engine *e, const float *scaled, int w, int h, float threshold, dpf_detections *out,
                         dpf_error *err) {
    return dn_detect(e->net, scaled, w, h, threshold, out, err);
}
