/* SPDX-License-Identifier: MIT
 *
 * Boxes with labels on a picture, and the picture as a file.
 */
#ifndef DPF_CLI_DRAW_H
#define DPF_CLI_DRAW_H

#include <stddef.h>
#include <stdint.h>

#include "../../dpf/core/error.h"

typedef struct canvas {
    int w, h;
    uint8_t *pixels; /* 3 bytes a pixel, rows from the top */
} canvas;

/* planes: red, green, blue, floats in [0,1]. On failure *out holds nothing to free. */
dpf_status canvas_new(canvas *out, const float *planes, int w, int h, dpf_error *err);

/* The same from bytes, `channels` (1 to 4) of them interleaved: grey, or red, green, blue first. */
dpf_status canvas_from_bytes(canvas *out, const unsigned char *bytes, int channels, int w, int h, dpf_error *err);
void canvas_free(canvas *c);

/* A frame in the colour of class k of n, its sides in pixels (cut at the picture's edge), and
 * the text above it, or inside where there is no room above. Letters are capitals. */
void canvas_frame(canvas *c, float left, float top, float right, float bottom, const char *text, int k, int n);

/* JPEG, or PNG where the name ends in .png; replaces the file in one step. */
dpf_status canvas_save(const canvas *c, const char *path, dpf_error *err);

/* The file that Darknet writes for a name: NAME.jpg, "predictions" when no name is given; a name
 * that ends in .jpg or .png stays. number > 0: the number before the ending, as NAME-2.jpg. The caller
 * frees it; NULL without memory. */
char *canvas_file(const char *name, size_t number);

#endif
