/* SPDX-License-Identifier: MIT
 *
 * What tests of kernels need of cmocka, for a processor that cmocka is not installed
 * for: tests/neon/run.sh compiles them with this header. The first check that fails ends
 * the program with status 1.
 */
#ifndef DPF_TESTS_NEON_CMOCKA_H
#define DPF_TESTS_NEON_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};

#define cmocka_unit_test(f)                                                                                            \
    { #f, f }
#define cmocka_run_group_tests(tests, setup, teardown) neon_run(tests, sizeof(tests) / sizeof *(tests))

#define fail_msg(...)                                                                                                  \
    do {                                                                                                               \
        printf("%s:%d: ", __FILE__, __LINE__);                                                                         \
        printf(__VA_ARGS__);                                                                                           \
        putchar('\n');                                                                                                 \
        exit(1);                                                                                                       \
    } while (0)
#define assert_true(x)                                                                                                 \
    do {                                                                                                               \
        if (!(x))                                                                                                      \
            fail_msg("%s", #x);                                                                                        \
    } while (0)
#define assert_non_null(x) assert_true((x) != NULL)
#define assert_null(x) assert_true((x) == NULL)
#define assert_int_equal(a, b) assert_true((long)(a) == (long)(b))
#define assert_int_not_equal(a, b) assert_true((long)(a) != (long)(b))
#define assert_memory_equal(a, b, size) assert_true(memcmp(a, b, size) == 0)

static inline int neon_run(const struct CMUnitTest *tests, size_t count) {
    for (size_t i = 0; i < count; i++) {
        tests[i].run(NULL);
        printf("ok %s\n", tests[i].name);
        fflush(stdout);
    }
    return 0;
}

#endif
