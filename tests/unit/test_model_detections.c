/* SPDX-License-Identifier: MIT
 *
 * Boxes and their suppression: known overlaps, and the order that Darknet's own
 * function leaves (each class sorts once more, stably).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dpf/model/detections.h"

static void overlap(void **state) {
    (void)state;
    const dpf_box a = {.5f, .5f, .2f, .2f};
    assert_float_equal(dpf_box_iou(a, a), 1, 1e-6);
    assert_float_equal(dpf_box_iou(a, (dpf_box){.6f, .5f, .2f, .2f}), 1.0 / 3, 1e-5);
    assert_float_equal(dpf_box_iou(a, (dpf_box){.5f, .5f, .1f, .1f}), .25, 1e-5);
    assert_true(dpf_box_iou(a, (dpf_box){.8f, .5f, .2f, .2f}) == 0);
    assert_true(dpf_box_iou(a, (dpf_box){.5f, .9f, .2f, .2f}) == 0);
    assert_true(dpf_box_iou(a, (dpf_box){.5f, .5f, 0, 0}) == 0);
}

/* Three boxes on one place and one far away, two classes. */
static dpf_detections world(void) {
    static const float x[] = {.30f, .31f, .30f, .80f}, first[] = {.5f, .9f, .7f, .2f}, second[] = {.8f, 0, .8f, 0};
    dpf_detections d;
    dpf_error err;
    assert_int_equal(dpf_detections_new(&d, 4, 2, &err), DPF_OK);
    for (size_t i = 0; i < 4; i++) {
        d.list[i].box = (dpf_box){x[i], .5f, .2f, .2f};
        d.list[i].objectness = first[i];
        d.list[i].prob[0] = first[i];
        d.list[i].prob[1] = second[i];
    }
    return d;
}

static void suppress_by_class(void **state) {
    (void)state;
    dpf_detections d = world();
    dpf_detections_suppress(&d, .45f);
    /* class 0 leaves .9 and .2; class 1 then sorts what class 0 left: the third box (.7) stood
     * before the first (.5), so of two equal ones it wins */
    assert_int_equal(d.count, 4);
    assert_float_equal(d.list[0].objectness, .7, 1e-6);
    assert_float_equal(d.list[0].prob[1], .8, 1e-6);
    assert_true(d.list[0].prob[0] == 0);
    assert_float_equal(d.list[1].objectness, .5, 1e-6);
    assert_true(d.list[1].prob[0] == 0 && d.list[1].prob[1] == 0);
    assert_float_equal(d.list[2].prob[0], .9, 1e-6);
    assert_float_equal(d.list[3].prob[0], .2, 1e-6);
    dpf_detections_free(&d);
}

/* A box that was suppressed does not suppress others. */
static void suppressed_boxes_do_nothing(void **state) {
    (void)state;
    dpf_detections d;
    dpf_error err;
    assert_int_equal(dpf_detections_new(&d, 3, 1, &err), DPF_OK);
    for (size_t i = 0; i < 3; i++) {
        d.list[i].box = (dpf_box){.3f + .06f * (float)i, .5f, .2f, .2f}; /* neighbours overlap by .54, ends by .25 */
        d.list[i].prob[0] = d.list[i].objectness = .9f - .1f * (float)i;
    }
    dpf_detections_suppress(&d, .45f);
    assert_true(d.list[0].prob[0] > 0 && d.list[1].prob[0] == 0 && d.list[2].prob[0] > 0);
    dpf_detections_free(&d);
}

static void suppress_by_objectness(void **state) {
    (void)state;
    dpf_detections d = world();
    dpf_detections_suppress_any(&d, .45f);
    size_t left = 0;
    for (size_t i = 0; i < d.count; i++) {
        left += d.list[i].objectness > 0;
        assert_true(d.list[i].objectness > 0 || (d.list[i].prob[0] == 0 && d.list[i].prob[1] == 0));
    }
    assert_int_equal(left, 2);
    assert_float_equal(d.list[0].objectness, .9, 1e-6);
    dpf_detections_free(&d);
}

static void no_boxes(void **state) {
    (void)state;
    dpf_detections d;
    dpf_error err;
    assert_int_equal(dpf_detections_new(&d, 0, 3, &err), DPF_OK);
    dpf_detections_suppress(&d, .45f);
    dpf_detections_suppress_any(&d, .45f);
    dpf_detections_free(&d);
    dpf_detections_free(&d);
    assert_int_equal(dpf_detections_new(&d, SIZE_MAX / 8, 1000, &err), DPF_ERR_MEMORY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overlap),
        cmocka_unit_test(suppress_by_class),
        cmocka_unit_test(suppressed_boxes_do_nothing),
        cmocka_unit_test(suppress_by_objectness),
        cmocka_unit_test(no_boxes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
