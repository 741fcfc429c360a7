/* SPDX-License-Identifier: MIT
 *
 * See runtime_world.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dpf/core/random.h"
#include "runtime_world.h"

const char world_detector[] =
    NET CONV(32, 3, "batch_normalize=1\nactivation=leaky") "[maxpool]\nsize=2\nstride=2\n" CONV(
        48, 3,
        "activation=mish") "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" CONV(24, 3,
                                                                             "activation=swish") "[shortcut]\nfrom=-"
                                                                                                 "2\nactivation="
                                                                                                 "linear\n[route]"
                                                                                                 "\nlayers=-1,"
                                                                                                 "2\n" CONV(16, 1,
                                                                                                            "activat"
                                                                                                            "ion="
                                                                                                            "linear")
                                                                                                     YOLO;

static char folder[] = "/tmp/dpf-run-XXXXXX", path[64];

void world_write(const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

dpf_model *world_load(const char *text, dpf_model_options o) {
    dpf_model *m;
    dpf_error err;
    world_write(text);
    o.random = 1;
    if (dpf_model_load(&m, path, NULL, &o, &err) != DPF_OK)
        fail_msg("%s", err.text);
    return m;
}

float *world_input(size_t count, uint64_t seed) {
    float *x = malloc(count * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)(random_next(&seed) >> 40) / 16777216.0f;
    return x;
}

float *world_run(const dpf_model *m, dpf_context *c, const float *input, size_t *count) {
    dpf_model_info info;
    dpf_output_info o;
    dpf_error err;
    const float *values;
    dpf_model_get_info(m, &info);
    assert_int_equal(dpf_context_set_planes(c, 0, input, &err), DPF_OK);
    assert_int_equal(dpf_context_run(c, &err), DPF_OK);
    assert_int_equal(dpf_model_output(m, info.outputs - 1, &o, &err), DPF_OK);
    assert_int_equal(dpf_context_output(c, 0, info.outputs - 1, &values, &err), DPF_OK);
    float *copy = malloc(o.floats * sizeof *copy);
    assert_non_null(copy);
    *count = o.floats;
    return memcpy(copy, values, o.floats * sizeof *copy);
}

const char *world_path(void) {
    return path;
}

int world_setup(void **unused) {
    (void)unused;
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/net.cfg", folder);
    return 0;
}

int world_teardown(void **unused) {
    (void)unused;
    unlink(path);
    return rmdir(folder);
}
