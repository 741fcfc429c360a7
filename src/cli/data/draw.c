/* SPDX-License-Identifier: MIT
 *
 * See draw.h. The letters are a font of 5 x 7 dots, enlarged by whole numbers. The
 * encoder is compiled in privately, for libdarknet exports an old copy of it.
 */
#include "draw.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef __clang_analyzer__ /* what lint finds inside the library is not ours to mend */
#define STB_IMAGE_WRITE_IMPLEMENTATION
#endif
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop
#pragma GCC diagnostic ignored "-Wunused-function" /* holds to the end: that is where gcc gives it */

#include "../../dpf/model/file.h"

enum { GLYPH_W = 5, GLYPH_H = 7, QUALITY = 90 };

/* clang-format off */
static const char known[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 %-.,:/_()+&'?"; /* the last one stands for all others */
static const unsigned char glyphs[][7] = {
    {14, 17, 17, 31, 17, 17, 17}, {30, 17, 17, 30, 17, 17, 30}, {15, 16, 16, 16, 16, 16, 15}, {30, 17, 17, 17, 17, 17, 30},
    {31, 16, 16, 30, 16, 16, 31}, {31, 16, 16, 30, 16, 16, 16}, {15, 16, 16, 19, 17, 17, 15}, {17, 17, 17, 31, 17, 17, 17},
    {14,  4,  4,  4,  4,  4, 14}, { 7,  2,  2,  2,  2, 18, 12}, {17, 18, 20, 24, 20, 18, 17}, {16, 16, 16, 16, 16, 16, 31},
    {17, 27, 21, 21, 17, 17, 17}, {17, 25, 21, 21, 19, 17, 17}, {14, 17, 17, 17, 17, 17, 14}, {30, 17, 17, 30, 16, 16, 16},
    {14, 17, 17, 17, 21, 18, 13}, {30, 17, 17, 30, 20, 18, 17}, {15, 16, 16, 14,  1,  1, 30}, {31,  4,  4,  4,  4,  4,  4},
    {17, 17, 17, 17, 17, 17, 14}, {17, 17, 17, 17, 10, 10,  4}, {17, 17, 17, 21, 21, 27, 17}, {17, 17, 10,  4, 10, 17, 17},
    {17, 17, 10,  4,  4,  4,  4}, {31,  1,  2,  4,  8, 16, 31}, {14, 17, 19, 21, 25, 17, 14}, { 4, 12,  4,  4,  4,  4, 14},
    {14, 17,  1,  2,  4,  8, 31}, {30,  1,  1, 14,  1,  1, 30}, { 2,  6, 10, 18, 31,  2,  2}, {31, 16, 30,  1,  1, 17, 14},
    {14, 16, 16, 30, 17, 17, 14}, {31,  1,  2,  4,  4,  8,  8}, {14, 17, 17, 14, 17, 17, 14}, {14, 17, 17, 15,  1,  1, 14},
    { 0,  0,  0,  0,  0,  0,  0}, {25, 25,  2,  4,  8, 19, 19}, { 0,  0,  0, 14,  0,  0,  0}, { 0,  0,  0,  0,  0, 12, 12},
    { 0,  0,  0,  0, 12,  4,  8}, { 0, 12, 12,  0, 12, 12,  0}, { 1,  2,  2,  4,  8,  8, 16}, { 0,  0,  0,  0,  0,  0, 31},
    { 4,  8,  8,  8,  8,  8,  4}, { 4,  2,  2,  2,  2,  2,  4}, { 0,  4,  4, 31,  4,  4,  0}, {12, 18, 20,  8, 21, 18, 13},
    { 4,  4,  0,  0,  0,  0,  0}, {14, 17,  1,  2,  4,  0,  4},
};
/* clang-format on */

dpf_status canvas_new(canvas *out, const float *planes, int w, int h, dpf_error *err) {
    const size_t plane = (size_t)w * (size_t)h;
    *out = (canvas){.w = w, .h = h, .pixels = malloc(3 * plane + 1)};
    if (!out->pixels)
        return dpf_fail_memory(err, 3 * plane, "a picture");
    for (size_t i = 0; i < plane; i++)
        for (size_t k = 0; k < 3; k++) {
            const float v = planes[k * plane + i] * 255 + .5f;
            out->pixels[3 * i + k] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
        }
    return DPF_OK;
}

dpf_status canvas_from_bytes(canvas *out, const unsigned char *bytes, int channels, int w, int h, dpf_error *err) {
    const size_t count = (size_t)w * (size_t)h, step = (size_t)channels;
    *out = (canvas){.w = w, .h = h, .pixels = malloc(3 * count + 1)};
    if (!out->pixels)
        return dpf_fail_memory(err, 3 * count, "a picture");
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < 3; k++)
            out->pixels[3 * i + k] = bytes[i * step + (channels < 3 ? 0 : k)];
    return DPF_OK;
}

char *canvas_file(const char *name, size_t number) {
    const char *base = name ? name : "predictions", *dot = strrchr(base, '.'), *ending = ".jpg";
    char *out = NULL, digits[32] = "";
    int length = (int)strlen(base);
    if (name && dot && (strcmp(dot, ".jpg") == 0 || strcmp(dot, ".png") == 0)) {
        length = (int)(dot - base);
        ending = dot;
    }
    if (number)
        snprintf(digits, sizeof digits, "-%zu", number);
    return asprintf(&out, "%.*s%s%s", length, base, digits, ending) < 0 ? NULL : out;
}

void canvas_free(canvas *c) {
    free(c->pixels);
    *c = (canvas){0};
}

/* Fills [x0, x1) x [y0, y1), as far as it is on the canvas. */
static void fill(canvas *c, int x0, int y0, int x1, int y1, const uint8_t *colour) {
    x0 = x0 < 0 ? 0 : x0;
    y0 = y0 < 0 ? 0 : y0;
    x1 = x1 > c->w ? c->w : x1;
    y1 = y1 > c->h ? c->h : y1;
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++)
            memcpy(c->pixels + 3 * ((size_t)y * (size_t)c->w + (size_t)x), colour, 3);
}

/* Bright colours, as far apart on the colour wheel as n classes allow; neighbours in number
 * are not neighbours in colour. */
static void colour_of(int k, int n, uint8_t *colour) {
    const double hue = 6.0 * fmod(k * 0.6180339887 + (n > 1 ? 0.0 : 0.33), 1.0);
    for (int i = 0; i < 3; i++) {
        const double away = fabs(fmod(hue + 6.0 - 2.0 * i + 3.0, 6.0) - 3.0);
        colour[i] = (uint8_t)(255 * fmin(1, fmax(0.15, 2.0 - away)));
    }
}

static void write_text(canvas *c, int x, int y, const char *text, int scale, const uint8_t *back) {
    static const uint8_t ink[3] = {0, 0, 0};
    const int width = (int)strlen(text) * (GLYPH_W + 1) * scale + scale;
    fill(c, x, y, x + width, y + (GLYPH_H + 2) * scale, back);
    for (; *text; text++, x += (GLYPH_W + 1) * scale) {
        const char *at = strchr(known, toupper((unsigned char)*text));
        const unsigned char *glyph = glyphs[at ? (size_t)(at - known) : sizeof known - 2];
        for (int row = 0; row < GLYPH_H; row++)
            for (int column = 0; column < GLYPH_W; column++)
                if (glyph[row] >> (GLYPH_W - 1 - column) & 1) {
                    const int px = x + (column + 1) * scale, py = y + (row + 1) * scale;
                    fill(c, px, py, px + scale, py + scale, ink);
                }
    }
}

/* A float anywhere, as a place on an axis of `size` pixels. */
static int place(float v, int size) {
    return v > 0 ? v < (float)(size - 1) ? (int)v : size - 1 : 0;
}

void canvas_frame(canvas *c, float left, float top, float right, float bottom, const char *text, int k, int n) {
    const int x0 = place(left, c->w), x1 = place(right, c->w), y0 = place(top, c->h), y1 = place(bottom, c->h);
    const int thick = 1 + c->h * 4 / 1000, scale = c->h < 450 ? 1 : c->h / 450 + 1;
    uint8_t colour[3];
    colour_of(k, n, colour);
    fill(c, x0, y0, x1 + 1, y0 + thick, colour);
    fill(c, x0, y1 + 1 - thick, x1 + 1, y1 + 1, colour);
    fill(c, x0, y0, x0 + thick, y1 + 1, colour);
    fill(c, x1 + 1 - thick, y0, x1 + 1, y1 + 1, colour);
    const int above = y0 - (GLYPH_H + 2) * scale;
    write_text(c, x0, above >= 0 ? above : y0, text, scale, colour);
}

typedef struct bytes {
    unsigned char *data;
    size_t size, room;
    int failed;
} bytes;

static void append(void *self, void *data, int size) {
    bytes *b = self;
    if (b->room - b->size < (size_t)size) {
        const size_t room = 2 * (b->size + (size_t)size);
        unsigned char *more = realloc(b->data, room);
        b->failed |= !more;
        if (!more)
            return;
        b->data = more;
        b->room = room;
    }
    memcpy(b->data + b->size, data, (size_t)size);
    b->size += (size_t)size;
}

dpf_status canvas_save(const canvas *c, const char *path, dpf_error *err) {
    bytes b = {0};
    const size_t length = strlen(path);
    const int png = length > 4 && strcmp(path + length - 4, ".png") == 0;
    const int made = png ? stbi_write_png_to_func(append, &b, c->w, c->h, 3, c->pixels, 3 * c->w)
                         : stbi_write_jpg_to_func(append, &b, c->w, c->h, 3, c->pixels, QUALITY);
    dpf_status status = made && !b.failed ? dpf_file_replace(path, b.data, b.size, err)
                                          : dpf_fail_memory(err, 3 * (size_t)c->w * (size_t)c->h, "a picture's file");
    free(b.data);
    return status;
}
