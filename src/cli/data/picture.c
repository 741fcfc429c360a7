/* SPDX-License-Identifier: MIT
 *
 * See picture.h. The decoder is compiled in privately: libdarknet exports an old
 * copy of the same library, whose symbols would win at link time, and which is not
 * safe with several threads.
 */
#include "picture.h"

#include <ctype.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#ifndef __clang_analyzer__ /* what lint finds inside the library is not ours to mend */
#define STB_IMAGE_IMPLEMENTATION
#endif
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_NO_GIF
#define STBI_NO_PSD
#define STBI_NO_PIC
#define STBI_NO_TGA
#pragma GCC diagnostic ignored "-Wunused-function" /* holds to the end: that is where gcc gives it */
#include <stb/stb_image.h>

#include "lines.h"

/* A guard against files of a few bytes that claim to be gigabytes of pixels. */
static const double MOST_PIXELS = 268435456.0;

static const char TRUNCATED[] = "is truncated";

static uint32_t big_endian(const unsigned char *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t little_endian(const unsigned char *p) {
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* Walks the segments up to the end-of-image marker. Inside compressed data 0xff is
 * followed by 0 or a restart marker, so anything else there is the next segment. */
static const char *check_jpeg(const unsigned char *p, size_t size) {
    size_t at = 2;
    while (at + 2 <= size) {
        if (p[at] != 0xff) { /* compressed data, or rubbish that decoders skip too */
            at++;
            continue;
        }
        unsigned marker = p[at + 1];
        if (marker == 0xd9)
            return NULL;
        if (marker == 0xff) {
            at++;
        } else if (marker == 0 || marker == 1 || (marker >= 0xd0 && marker <= 0xd8)) {
            at += 2;
        } else {
            if (at + 4 > size)
                break;
            size_t length = (size_t)p[at + 2] << 8 | p[at + 3];
            at += 2 + length;
        }
    }
    return TRUNCATED;
}

static const char *check_png(const unsigned char *p, size_t size) {
    size_t at = 8;
    while (size - at >= 12) {
        size_t length = big_endian(p + at);
        if (length > size - at - 12)
            return TRUNCATED;
        const unsigned char *type = p + at + 4;
        int critical = !(type[0] & 0x20);
        if (critical && crc32(crc32(0, NULL, 0), type, (uInt)(length + 4)) != big_endian(type + 4 + length))
            return "is damaged: a PNG chunk fails its checksum";
        if (memcmp(type, "IEND", 4) == 0)
            return NULL;
        at += 12 + length;
    }
    return TRUNCATED;
}

static const char *check_bmp(const unsigned char *p, size_t size) {
    if (size < 26 || little_endian(p + 2) > size || little_endian(p + 10) >= size)
        return TRUNCATED;
    return NULL;
}

/* PGM and PPM: three numbers, one blank, then the pixels as they are. */
static const char *check_pnm(const unsigned char *p, size_t size) {
    size_t at = 2, number[3];
    for (int i = 0; i < 3; i++) {
        while (at < size && (isspace(p[at]) || p[at] == '#'))
            if (p[at++] == '#')
                while (at < size && p[at] != '\n')
                    at++;
        number[i] = 0;
        while (at < size && isdigit(p[at]) && number[i] < INT_MAX)
            number[i] = 10 * number[i] + (size_t)(p[at++] - '0');
        if (at == size || !number[i])
            return TRUNCATED;
    }
    const size_t samples = number[0] * number[1] * (p[1] == '6' ? 3 : 1); /* bounded by MOST_PIXELS before */
    return size - at - 1 < samples * (number[2] > 255 ? 2 : 1) ? TRUNCATED : NULL;
}

static const char *check_end(const unsigned char *p, size_t size) {
    if (p[0] == 0xff && p[1] == 0xd8)
        return check_jpeg(p, size);
    if (p[0] == 0x89)
        return check_png(p, size);
    if (p[0] == 'B' && p[1] == 'M')
        return check_bmp(p, size);
    if (p[0] == 'P')
        return check_pnm(p, size);
    return NULL;
}

/* WebP and TIFF are read by Darknet's loader but not by our decoder: only their
 * headers are looked at. 1: it is one of them, *fault says how it is. */
static int check_other(const unsigned char *p, size_t size, const char **fault) {
    *fault = NULL;
    if (size >= 12 && memcmp(p, "RIFF", 4) == 0 && memcmp(p + 8, "WEBP", 4) == 0) {
        if (little_endian(p + 4) > size - 8)
            *fault = TRUNCATED;
        return 1;
    }
    return size >= 8 && (memcmp(p, "II*\0", 4) == 0 || memcmp(p, "MM\0*", 4) == 0);
}

static const char *check_bytes(const unsigned char *p, size_t size) {
    int width = 0, height = 0, channels = 0;
    const char *fault = NULL;
    if (size == 0)
        return "is empty";
    if (size > INT_MAX)
        return "is larger than 2 GiB";
    if (check_other(p, size, &fault))
        return fault;
    if (size < 4 || !stbi_info_from_memory(p, (int)size, &width, &height, &channels)) {
        if (size >= 2 && ((p[0] == 0xff && p[1] == 0xd8) || (p[0] == 0x89 && p[1] == 'P')))
            return "is truncated or damaged in its header";
        return "is not a picture of a kind that Darknet reads (JPEG, PNG, BMP, PPM, WebP, TIFF)";
    }
    if ((double)width * height > MOST_PIXELS)
        return "claims more than 268 million pixels";
    fault = check_end(p, size);
    if (fault)
        return fault;
    unsigned char *pixels = stbi_load_from_memory(p, (int)size, &width, &height, &channels, 3);
    if (!pixels)
        return "is damaged: its pixels cannot be decoded";
    stbi_image_free(pixels);
    return NULL;
}

const char *picture_check(const char *path, char *reason, size_t size) {
    unsigned char *bytes = NULL;
    size_t length = 0;
    dpf_error err;
    if (file_read(path, "picture", &bytes, &length, &err)) {
        const char *tail = strrchr(err.text, '\'');
        const char *text = tail && tail[1] == ':' ? tail + 3 : err.text;
        snprintf(reason, size, "%s%s", strncmp(text, "is ", 3) == 0 ? "" : "cannot be read: ", text);
        return reason;
    }
    const char *fault = check_bytes(bytes, length);
    free(bytes);
    if (!fault)
        return NULL;
    snprintf(reason, size, "%s", fault);
    return reason;
}

dpf_status picture_load(const char *path, int channels, unsigned char **pixels, int *width, int *height,
                        dpf_error *err) {
    char reason[120];
    unsigned char *bytes = NULL;
    size_t size = 0;
    int own;
    *pixels = NULL;
    const char *fault = picture_check(path, reason, sizeof reason);
    if (fault)
        return dpf_fail(err, DPF_ERR_FORMAT, "'%s' %s", path, fault);
    dpf_status status = file_read(path, "picture", &bytes, &size, err);
    if (status)
        return status;
    *pixels = stbi_load_from_memory(bytes, (int)size, width, height, &own, channels);
    free(bytes);
    return *pixels ? DPF_OK
                   : dpf_fail(err, DPF_ERR_UNSUPPORTED, "'%s' is of a kind that only Darknet reads (WebP, TIFF)", path);
}
