/* SPDX-License-Identifier: MIT
 *
 * mAP on cases that are worked out by hand.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/score/precision.h"

/* Objects and boxes sit on a grid of places that do not touch; found[i].p < 0: end. */
typedef struct hit {
    int place, class;
    float p;
} hit;

static dpf_box place(int at) {
    return (dpf_box){.05f + .1f * (float)at, .5f, .08f, .08f};
}

static void add(precision *p, const hit *hits, size_t count, const dn_box *truth, size_t objects,
                const dn_boxes *difficult) {
    dpf_detections d;
    dpf_error err;
    const dn_boxes boxes = {truth, objects};
    assert_int_equal(dpf_detections_new(&d, count, 2, &err), DPF_OK);
    for (size_t i = 0; i < count; i++) {
        d.list[i].box = place(hits[i].place);
        d.list[i].objectness = hits[i].p;
        d.list[i].prob[hits[i].class] = hits[i].p;
    }
    assert_int_equal(precision_add(p, &d, &boxes, difficult, &err), DPF_OK);
    dpf_detections_free(&d);
}

static dn_box object(int at, int class) {
    const dpf_box b = place(at);
    return (dn_box){class, b.x, b.y, b.w, b.h};
}

static precision *start(int points) {
    precision *p;
    dpf_error err;
    const precision_options options = {.iou = .5f, .confidence = .25f, .points = points};
    assert_int_equal(precision_new(&p, &options, 2, &err), DPF_OK);
    return p;
}

static double finish(precision *p, precision_class *classes) {
    double mean = -1;
    dpf_error err;
    assert_int_equal(precision_finish(p, classes, &mean, &err), DPF_OK);
    precision_free(p);
    return mean;
}

/* Class 0: right .9, wrong .8, right .7, a second box for the first object .6; 4 objects.
 * Precision 1, 1/2, 2/3, 1/2 at recall 1/4, 1/4, 1/2, 1/2. */
static precision *curve(int points) {
    precision *p = start(points);
    const dn_box first[] = {object(0, 0), object(1, 0)}, second[] = {object(0, 0), object(1, 0)};
    const hit one[] = {{0, 0, .9f}, {5, 0, .8f}, {0, 0, .6f}}, two[] = {{1, 0, .7f}};
    add(p, one, 3, first, 2, NULL);
    add(p, two, 1, second, 2, NULL);
    return p;
}

static void area_under_the_curve(void **state) {
    (void)state;
    precision_class c[2];
    assert_true(fabs(finish(curve(0), c) - ((.25 + .25 * 2 / 3) / 2)) < 1e-9); /* the other class counts as 0 */
    assert_true(fabs(c[0].ap - (.25 + .25 * 2 / 3)) < 1e-9);
    assert_int_equal(c[0].objects, 4);
    assert_int_equal(c[0].found, 4);
    assert_int_equal(c[0].true_positives, 2);
    assert_int_equal(c[0].false_positives, 2);
    assert_float_equal(c[0].iou, 2, 1e-5);
    assert_int_equal(c[1].objects, 0);
}

static void at_points(void **state) {
    (void)state;
    precision_class c[2];
    finish(curve(11), c); /* recalls 0, .1, .2 at 1; .3, .4, .5 at 2/3; the rest at 0 */
    assert_true(fabs(c[0].ap - ((3 + 3 * 2.0 / 3) / 11)) < 1e-9);
    finish(curve(101), c); /* 0 to .25; .26 to .5 */
    assert_true(fabs(c[0].ap - ((26 + 25 * 2.0 / 3) / 101)) < 1e-9);
}

static void classes_are_apart(void **state) {
    (void)state;
    precision_class c[2];
    precision *p = start(0);
    const dn_box truth[] = {object(0, 0), object(1, 1)};
    const hit hits[] = {{0, 1, .9f}, {1, 1, .8f}}; /* the first has the wrong class */
    add(p, hits, 2, truth, 2, NULL);
    assert_true(fabs(finish(p, c) - .25) < 1e-9);
    assert_true(fabs(c[1].ap - .5) < 1e-9);
    assert_true(c[0].ap == 0 && c[0].found == 0);
}

static void difficult_objects_do_not_count(void **state) {
    (void)state;
    precision_class c[2];
    precision *p = start(0);
    const dn_box truth[] = {object(0, 0)}, hard[] = {object(3, 0)};
    const dn_boxes difficult = {hard, 1};
    const hit hits[] = {{3, 0, .9f}, {0, 0, .8f}};
    add(p, hits, 2, truth, 1, &difficult);
    finish(p, c);
    assert_true(fabs(c[0].ap - 1) < 1e-9);
    assert_int_equal(c[0].found, 1);
}

static void low_confidence_counts_for_ap_alone(void **state) {
    (void)state;
    precision_class c[2];
    precision *p = start(0);
    const dn_box truth[] = {object(0, 0)};
    const hit hits[] = {{0, 0, .1f}};
    add(p, hits, 1, truth, 1, NULL);
    finish(p, c);
    assert_true(fabs(c[0].ap - 1) < 1e-9);
    assert_int_equal(c[0].true_positives, 0);
}

static void nothing_found(void **state) {
    (void)state;
    precision_class c[2];
    precision *p = start(0);
    const dn_box truth[] = {object(0, 0)};
    add(p, NULL, 0, truth, 1, NULL);
    assert_true(finish(p, c) == 0);
    assert_true(finish(start(101), c) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(area_under_the_curve),
        cmocka_unit_test(at_points),
        cmocka_unit_test(classes_are_apart),
        cmocka_unit_test(difficult_objects_do_not_count),
        cmocka_unit_test(low_confidence_counts_for_ap_alone),
        cmocka_unit_test(nothing_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
