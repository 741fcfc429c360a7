/* SPDX-License-Identifier: MIT
 *
 * `darknet detector test DATA CFG WEIGHTS [IMAGE]`: what is in a picture, said and drawn.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <omp.h>

#include "../terminal/args.h"
#include "../terminal/ask.h"
#include "../score/detector.h"
#include "../data/draw.h"
#include "../terminal/model_words.h"
#include "../data/picture.h"
#include "../terminal/progress.h"
#include "../terminal/say.h"
#include "verbs.h"

typedef struct tester {
    engine *net;
    lines names;
    float threshold;
    char *out; /* name of the file that is drawn */
} tester;

/* Says each class of the box above the threshold, and draws it with all their names. */
static void show(const tester *t, canvas *c, const dpf_detection *d, int classes) {
    char text[256] = "";
    int first = -1;
    for (int k = 0; k < classes; k++) {
        if (!(d->prob[k] > t->threshold))
            continue;
        printf("%s: %.0f%%\n", t->names.line[k], (double)d->prob[k] * 100);
        const size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s", used ? ", " : "", t->names.line[k]);
        first = first < 0 ? k : first;
    }
    if (first < 0)
        return;
    const float w = (float)c->w, h = (float)c->h;
    const dpf_box b = d->box;
    canvas_frame(c, (b.x - b.w / 2) * w, (b.y - b.h / 2) * h, (b.x + b.w / 2) * w, (b.y + b.h / 2) * h, text, first,
                 classes);
}

static dpf_status test_one(void *self, const char *path, dpf_error *err) {
    const tester *t = self;
    char reason[120];
    dn_picture picture = {0};
    dpf_detections found = {0};
    canvas c = {0};
    const char *fault = picture_check(path, reason, sizeof reason);
    if (fault)
        return dpf_fail(err, DPF_ERR_FORMAT, "'%s' %s", path, fault);
    dn_picture_read(&picture, path, engine_width(t->net), engine_height(t->net), 1);
    const double began = progress_now();
    dpf_status status = engine_detect(t->net, picture.scaled, picture.w, picture.h, t->threshold, &found, err);
    if (!status) {
        printf("%s: Predicted in %f seconds.\n", path, progress_now() - began);
        dpf_detections_suppress(&found, .45f);
        status = canvas_new(&c, picture.planes, picture.w, picture.h, err);
    }
    for (size_t i = 0; i < found.count && !status; i++)
        show(t, &c, &found.list[i], found.classes);
    if (!status)
        status = canvas_save(&c, t->out, err);
    fflush(stdout);
    canvas_free(&c);
    dpf_detections_free(&found);
    dn_picture_free(&picture);
    return status;
}

static const char USAGE[] = "darknet detector test DATA CFG WEIGHTS [IMAGE] [-thresh T] [-out NAME] [-threads N] "
                            "[-engine darknet|dpf]";

int detector_test(int argc, char **argv) {
    uint64_t threads = 0;
    double threshold = .5;
    const char *words[4], *out = NULL, *runner = NULL;
    engine_args model = {0};
    const args_flag flags[] = {
        {"-thresh", ARGS_SHARE, &threshold, NULL, 0, 0},
        {"-out", ARGS_TEXT, &out, NULL, 0, 0},
        {"-threads", ARGS_COUNT, &threads, NULL, 1, 1024},
        {"-dpf", ARGS_TEXT, &model.dpf, NULL, 0, 0},
        {"-engine", ARGS_TEXT, &runner, NULL, 0, 0},
        {"-dont_show", ARGS_IGNORED_SWITCH, NULL, NULL, 0, 0},
        ARGS_DARKNET_FLAGS,
    };
    tester t = {0};
    datafile data = {0};
    dpf_error err;
    dpf_status status = args_parse(argc, argv, flags, sizeof flags / sizeof *flags, words, 2, 4, USAGE, &err);
    if (!status)
        status = model_words(words, 1, 3, 4, USAGE, &err);
    if (!status)
        status = engine_parse(runner, &model.choice, &err);
    if (status)
        return say_error(&err);
    if (threads)
        omp_set_num_threads((int)threads);
    model.cfg = words[1];
    model.weights = words[2];
    model.threads = (int)threads;
    t.threshold = (float)threshold;
    t.out = canvas_file(out, 0);
    if (!t.out)
        status = dpf_fail_memory(&err, 4096, "a file name");
    if (!status)
        status = datafile_read(&data, words[0], 0, &err);
    if (!status)
        status = engine_open(&t.net, &model, &err);
    if (!status)
        status = detector_names(&t.names, &data, model.cfg, engine_classes(t.net), &err);
    if (!status && words[3])
        status = test_one(&t, words[3], &err);
    else if (!status)
        ask_pictures(test_one, &t);
    const int exit_status = status ? say_error(&err) : EXIT_GOOD;
    engine_close(t.net);
    lines_free(&t.names);
    datafile_free(&data);
    free(t.out);
    return exit_status;
}
