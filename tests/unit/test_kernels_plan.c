/* SPDX-License-Identifier: MIT
 *
 * How a convolution of training is cut into chunks: the rule of conv_plan.h on shapes
 * at its edges. What must stay true: the plan follows from shape and threads alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dpf/kernels/conv_plan.h"

static void test_conv_plan(void **state) {
    (void)state;
    static const struct {
        dpf_conv_shape s;
        int threads, chunk, workers, winograd;
    } cases[] = {
        {{128, 16, 32, 32, 16, 3, 1, 1, 1}, 2, 4, 2, 1},   /* 64 tiles a picture, at most 400 */
        {{128, 64, 8, 8, 64, 3, 1, 1, 1}, 2, 64, 2, 1},    /* a chunk for each worker */
        {{128, 256, 14, 14, 256, 3, 1, 1, 1}, 2, 8, 2, 1}, /* of 512 channels, 227 tiles are 16 MB */
        {{4, 64, 8, 8, 64, 3, 1, 1, 1}, 2, 2, 2, 0},       /* 8 tiles do not pay */
        {{64, 64, 9, 9, 64, 3, 1, 1, 1}, 2, 8, 2, 0},      /* 9 tiles for 81 pixels waste too much */
        {{32, 512, 16, 16, 512, 3, 1, 1, 1}, 2, 4, 2, 0},  /* transformed weights of 36 MB; 9 MB plain */
        {{32, 64, 16, 16, 64, 3, 2, 1, 1}, 2, 4, 2, 0},    {{32, 24, 16, 16, 64, 3, 1, 1, 1}, 2, 4, 2, 0},
        {{32, 64, 16, 16, 64, 3, 1, 1, 2}, 2, 2, 2, 0},    {{32, 64, 16, 16, 64, 5, 1, 2, 1}, 2, 2, 2, 0},
        {{1, 16, 400, 400, 16, 3, 1, 1, 1}, 2, 1, 1, 0}, /* all threads on one picture; 46 MB transformed */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        conv_plan plan = dpf_conv_plan(&cases[i].s, cases[i].threads, 1);
        if (plan.chunk != cases[i].chunk || plan.workers != cases[i].workers || plan.winograd != cases[i].winograd)
            fail_msg("case %zu: chunk %d, workers %d, winograd %d", i, plan.chunk, plan.workers, plan.winograd);
        assert_int_equal(plan.inner * plan.workers, cases[i].threads);
        assert_int_equal(dpf_conv_plan(&cases[i].s, cases[i].threads, 0).winograd, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
