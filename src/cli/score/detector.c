/* SPDX-License-Identifier: MIT
 *
 * See detector.h: what its commands share.
 */
#include "detector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../terminal/progress.h"
#include "../terminal/stop.h"

enum { BLOCK = 16 }; /* pictures decoded at once; bounds memory */

dpf_status detector_fits(const datafile *data, const char *cfg, int classes, dpf_error *err) {
    if (!data->has_classes || data->classes == classes)
        return DPF_OK;
    return dpf_fail(err, DPF_ERR_MISMATCH,
                    "'%s' finds %d classes, but 'classes' of '%s' is %d; they must be equal (set classes= of the last "
                    "layer and filters= of the layer before it)",
                    cfg, classes, data->path, data->classes);
}

dpf_status detector_names(lines *out, const datafile *data, const char *cfg, int classes, dpf_error *err) {
    lines list;
    dpf_status status = detector_fits(data, cfg, classes, err);
    if (!status)
        status = lines_read(&list, data->has_names ? data->names : "data/names.list", "name list", err);
    if (status)
        return status;
    if (list.count < (size_t)classes) {
        status = dpf_fail(err, DPF_ERR_MISMATCH, "%s: has %zu lines, but '%s' finds %d classes; one line a class",
                          list.file, list.count, cfg, classes);
        lines_free(&list);
        return status;
    }
    *out = list;
    return DPF_OK;
}

dpf_status detector_truth_open(detector_truth *out, const datafile *data, int classes, dpf_error *err) {
    detector_truth t = {0};
    dpf_status status = imagelist_open(&t.list, data->valid, "validation list", err);
    if (!status)
        status = labels_read(&t.boxes, t.list, classes, err);
    if (!status && data->difficult) {
        status = imagelist_open(&t.difficult_list, data->difficult, "list of difficult objects", err);
        if (!status && imagelist_count(t.difficult_list) != imagelist_count(t.list))
            status = dpf_fail(err, DPF_ERR_MISMATCH, "%s: has %zu lines, but '%s' has %zu; line for line one picture",
                              data->difficult, imagelist_count(t.difficult_list), data->valid, imagelist_count(t.list));
        if (!status)
            status = labels_read(&t.difficult, t.difficult_list, classes, err);
    }
    if (status) {
        detector_truth_free(&t);
        return status;
    }
    *out = t;
    return DPF_OK;
}

void detector_truth_free(detector_truth *truth) {
    labels_free(&truth->boxes);
    labels_free(&truth->difficult);
    imagelist_free(truth->list);
    imagelist_free(truth->difficult_list);
    *truth = (detector_truth){0};
}

static void show(const detector_pass *pass, size_t done, size_t total, double began) {
    static double shown_at;
    const double now = progress_now();
    if (!pass->what || !isatty(STDERR_FILENO) || (now - shown_at < 0.2 && done < total))
        return;
    shown_at = now;
    fprintf(stderr, "\r%s: %zu/%zu  %.1f img/s\033[K", pass->what, done, total, (double)done / (now - began + 1e-9));
    if (done == total)
        fputs("\r\033[K", stderr);
}

static dpf_status run_one(const detector_pass *pass, size_t entry, const dn_picture *picture, dpf_error *err) {
    dpf_detections found = {0};
    const int w = pass->letterbox ? picture->w : 0, h = pass->letterbox ? picture->h : 0;
    dpf_status status = engine_detect(pass->net, picture->scaled, w, h, pass->threshold, &found, err);
    if (!status && pass->suppression > 0)
        dpf_detections_suppress(&found, pass->suppression);
    if (!status)
        status = pass->each(pass->self, entry, picture, &found, err);
    dpf_detections_free(&found);
    return status;
}

dpf_status detector_run(const detector_pass *pass, size_t *pictures, dpf_error *err) {
    const size_t total = imagelist_count(pass->list);
    const int w = engine_width(pass->net), h = engine_height(pass->net);
    const double began = progress_now();
    dpf_status status = DPF_OK;
    *pictures = 0;
    for (size_t first = 0; first < total && !status && !stop_signal(); first += BLOCK) {
        const size_t count = total - first < BLOCK ? total - first : BLOCK;
        size_t entries[BLOCK], good = 0;
        dn_picture block[BLOCK] = {{0}};
        status = imagelist_range(pass->list, first, count, entries, &good, err);
        if (status)
            break;
#pragma omp parallel for schedule(dynamic, 1)
        for (size_t i = 0; i < good; i++)
            dn_picture_read(&block[i], imagelist_path(pass->list, entries[i]), w, h, pass->letterbox);
        for (size_t i = 0; i < good; i++) {
            if (!status)
                status = run_one(pass, entries[i], &block[i], err);
            dn_picture_free(&block[i]);
        }
        *pictures += good;
        show(pass, first + count, total, began);
    }
    if (status || stop_signal())
        return status;
    imagelist_say_bad(pass->list);
    if (!*pictures)
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: none of its %zu images can be used", imagelist_file(pass->list),
                        total);
    return DPF_OK;
}
