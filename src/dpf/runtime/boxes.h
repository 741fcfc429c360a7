/* SPDX-License-Identifier: MIT
 *
 * A run's boxes as Darknet lists them, for programs that score as Darknet does; not part
 * of the library's interface.
 *
 * What must stay true: order and content are those of Darknet's own function, so that the
 * same suppression leaves the same: yolo cell by cell, region box by box; every box with
 * an objectness above the threshold, its classes 0 where they are not above it.
 */
#ifndef DPF_RUNTIME_BOXES_H
#define DPF_RUNTIME_BOXES_H

#include "../model/detections.h"

/* Without suppression. w, h: sides of the picture before the letterbox, 0 where the input was stretched.
 * The caller frees *out. */
dpf_status dpf_context_boxes(dpf_context *context, int image, float threshold, int w, int h, dpf_detections *out,
                             dpf_error *err);

#endif
