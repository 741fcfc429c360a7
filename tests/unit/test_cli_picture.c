/* SPDX-License-Identifier: MIT
 *
 * picture_check: every way a picture file can be cut off or damaged that decoders
 * let pass.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <stb/stb_image_write.h>

#include "cli/data/picture.h"

typedef struct bytes {
    unsigned char data[65536];
    size_t size;
} bytes;

static char path[] = "/tmp/dpf-picture-XXXXXX";

static void collect(void *context, void *data, int size) {
    bytes *b = context;
    assert_true(b->size + (size_t)size <= sizeof b->data);
    memcpy(b->data + b->size, data, (size_t)size);
    b->size += (size_t)size;
}

enum { WIDTH = 37, HEIGHT = 23 };

static const unsigned char *pixels(void) {
    static unsigned char p[WIDTH * HEIGHT * 3];
    for (size_t i = 0; i < sizeof p; i++)
        p[i] = (unsigned char)(i * i / 7 + i % 31 * 5);
    return p;
}

/* NULL: good. */
static const char *verdict(const unsigned char *data, size_t size) {
    static char reason[120];
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
    return picture_check(path, reason, sizeof reason);
}

static void every_cut_is_found(const bytes *b) {
    assert_null(verdict(b->data, b->size));
    for (size_t n = 0; n < b->size; n += n < 64 || n + 64 > b->size ? 1 : 7) {
        const char *fault = verdict(b->data, n);
        if (!fault)
            fail_msg("cut to %zu of %zu bytes and not found", n, b->size);
        if (n == 0)
            assert_string_equal(fault, "is empty");
        else if (n > b->size / 2)
            assert_string_equal(fault, "is truncated");
    }
}

static void jpeg(void **state) {
    (void)state;
    static bytes b;
    b.size = 0;
    assert_true(stbi_write_jpg_to_func(collect, &b, WIDTH, HEIGHT, 3, pixels(), 90));
    every_cut_is_found(&b);
    collect(&b, (void *)(uintptr_t) "trailing rubbish, as cameras write it", 37);
    assert_null(verdict(b.data, b.size));
}

static void png(void **state) {
    (void)state;
    static bytes b;
    b.size = 0;
    assert_true(stbi_write_png_to_func(collect, &b, WIDTH, HEIGHT, 3, pixels(), WIDTH * 3));
    every_cut_is_found(&b);
    b.data[b.size / 2] ^= 4;
    assert_non_null(strstr(verdict(b.data, b.size), "is damaged"));
}

static void bmp(void **state) {
    (void)state;
    static bytes b;
    b.size = 0;
    assert_true(stbi_write_bmp_to_func(collect, &b, WIDTH, HEIGHT, 3, pixels()));
    every_cut_is_found(&b);
}

static void ppm(void **state) {
    (void)state;
    static bytes b;
    b.size = (size_t)sprintf((char *)b.data, "P6\n%d %d\n255\n", WIDTH, HEIGHT);
    collect(&b, (void *)(uintptr_t)pixels(), WIDTH * HEIGHT * 3);
    every_cut_is_found(&b);
}

static void not_pictures(void **state) {
    (void)state;
    static const char text[] = "This is a text that somebody named .jpg";
    static const char gif[] = "GIF89a\1\0\1\0\0\0\0;";
    char reason[120];
    assert_non_null(strstr(verdict((const unsigned char *)text, sizeof text), "is not a picture"));
    assert_non_null(strstr(verdict((const unsigned char *)gif, sizeof gif), "is not a picture"));
    assert_non_null(verdict((const unsigned char *)"\xff\xd8", 2));
    assert_non_null(verdict((const unsigned char *)"\x89PNG\r\n\x1a\n", 8));
    assert_string_equal(picture_check("/tmp", reason, sizeof reason), "is a folder, a file is wanted");
    assert_string_equal(picture_check("/tmp/no/such", reason, sizeof reason),
                        "cannot be read: No such file or directory");
    assert_string_equal(picture_check("/dev/null", reason, sizeof reason), "is not a regular file");
}

static int make_file(void **state) {
    (void)state;
    const int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jpeg), cmocka_unit_test(png),          cmocka_unit_test(bmp),
        cmocka_unit_test(ppm),  cmocka_unit_test(not_pictures),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
