/* SPDX-License-Identifier: MIT
 *
 * `darknet dpf predict MODEL.dpf|CFG WEIGHTS IMAGE...`: what is in these pictures?
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../dpf/model/modelfile.h"
#include "../terminal/args.h"
#include "dpf_run.h"
#include "../data/draw.h"
#include "../data/lines.h"
#include "../data/picture.h"
#include "../terminal/say.h"
#include "verbs.h"

static const char USAGE[] = "darknet dpf predict MODEL.dpf|CFG WEIGHTS IMAGE... [-thresh T] [-nms T] [-top N] "
                            "[-names FILE] [-fit letterbox|resize|crop] [-threads N] "
                            "[-kernels auto|dense|sparse|direct|winograd|blas] [-tune] [-out NAME] [-json]";

typedef struct predictor {
    dpf_model *model;
    dpf_context *context;
    dpf_model_info info;
    dpf_fit fit;
    dpf_detect_options detect;
    lines names;
    uint64_t top;
    int json;
    const char *out; /* NULL: nothing is drawn */
    int many;        /* several pictures: numbered files */
    size_t shown;    /* pictures so far */
} predictor;

/* A string of JSON; bytes that are no text become question marks. */
static void print_string(const char *text) {
    putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c == '"' || *c == '\\')
            printf("\\%c", *c);
        else if (*c < 32)
            printf("\\u%04x", *c);
        else
            putchar(*c);
    putchar('"');
}

static const char *name_of(const predictor *p, int class_id, char number[32]) {
    if ((size_t)class_id < p->names.count)
        return p->names.line[class_id];
    snprintf(number, 32, "class %d", class_id);
    return number;
}

static void print_class(const predictor *p, int class_id, float probability, int first) {
    char number[32];
    const char *name = name_of(p, class_id, number);
    if (!p->json) {
        printf("%5.2f%%: %s\n", 100 * (double)probability, name);
        return;
    }
    printf("%s\n      {\"class\": %d, \"name\": ", first ? "" : ",", class_id);
    print_string(name);
    printf(", \"probability\": %.6g}", (double)probability);
}

static dpf_status show_classes(const predictor *p, dpf_error *err) {
    const float *values;
    dpf_output_info output;
    dpf_status status = dpf_model_output(p->model, p->info.outputs - 1, &output, err);
    if (!status)
        status = dpf_context_output(p->context, 0, p->info.outputs - 1, &values, err);
    if (status)
        return status;
    char *taken = calloc(output.floats, 1);
    if (!taken)
        return dpf_fail_memory(err, output.floats, "classes");
    for (uint64_t n = 0; n < p->top && n < output.floats; n++) {
        size_t best = output.floats;
        for (size_t i = 0; i < output.floats; i++)
            if (!taken[i] && (best == output.floats || values[i] > values[best]))
                best = i;
        taken[best] = 1;
        print_class(p, (int)best, values[best], n == 0);
    }
    free(taken);
    return DPF_OK;
}

static void print_object(const predictor *p, const dpf_object *o, int width, int height, int first) {
    char number[32];
    const char *name = name_of(p, o->class_id, number);
    double w = (double)o->w * width, h = (double)o->h * height;
    double left = (double)o->x * width - w / 2, top = (double)o->y * height - h / 2;
    if (!p->json) {
        printf("%s: %.0f%%  left %.0f top %.0f width %.0f height %.0f\n", name, 100 * (double)o->probability, left, top,
               w, h);
        return;
    }
    printf("%s\n      {\"class\": %d, \"name\": ", first ? "" : ",", o->class_id);
    print_string(name);
    printf(", \"probability\": %.6g, \"left\": %.2f, \"top\": %.2f, \"width\": %.2f, \"height\": %.2f}",
           (double)o->probability, left, top, w, h);
}

/* A picture that is looked at. */
typedef struct view {
    unsigned char *pixels;
    int width, height;
} view;

/* A box with all its classes, the likeliest of which is found[at]: it was not drawn before. */
static void draw_object(const predictor *p, canvas *c, const dpf_object *found, size_t count, size_t at) {
    const dpf_object *o = &found[at];
    const float w = o->w * (float)c->w, h = o->h * (float)c->h, x = o->x * (float)c->w, y = o->y * (float)c->h;
    char text[256] = "", number[32];
    for (size_t i = 0; i < count; i++) {
        if (found[i].box != o->box)
            continue;
        if (i < at)
            return;
        const size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s", used ? ", " : "", name_of(p, found[i].class_id, number));
    }
    canvas_frame(c, x - w / 2, y - h / 2, x + w / 2, y + h / 2, text, o->class_id, p->info.classes);
}

static dpf_status draw_objects(const predictor *p, const view *v, const dpf_object *found, size_t count,
                               dpf_error *err) {
    canvas c;
    char *path = canvas_file(p->out, p->many ? p->shown : 0);
    if (!path)
        return dpf_fail_memory(err, 4096, "a file name");
    dpf_status status = canvas_from_bytes(&c, v->pixels, p->info.channels, v->width, v->height, err);
    for (size_t i = 0; i < count && !status; i++)
        draw_object(p, &c, found, count, i);
    if (!status)
        status = canvas_save(&c, path, err);
    canvas_free(&c);
    free(path);
    return status;
}

static dpf_status show_objects(const predictor *p, const view *v, dpf_error *err) {
    const dpf_object *found;
    size_t count;
    dpf_status status = dpf_context_detections(p->context, 0, &p->detect, &found, &count, err);
    for (size_t i = 0; i < count && !status; i++)
        print_object(p, &found[i], v->width, v->height, i == 0);
    return status || !p->out ? status : draw_objects(p, v, found, count, err);
}

static dpf_status predict_one(predictor *p, const char *path, dpf_error *err) {
    view v = {NULL, 0, 0};
    dpf_status status = picture_load(path, p->info.channels, &v.pixels, &v.width, &v.height, err);
    if (!status)
        status = dpf_context_set_pixels(p->context, 0, v.pixels, v.width, v.height, p->info.channels, p->fit, err);
    if (!status)
        status = dpf_context_run(p->context, err);
    if (status) {
        free(v.pixels);
        return status;
    }
    if (p->json) {
        printf("%s\n  {\"file\": ", p->shown ? "," : "");
        print_string(path);
        printf(", \"width\": %d, \"height\": %d, \"%s\": [", v.width, v.height,
               p->info.detector ? "objects" : "classes");
    } else {
        printf("%s:\n", path);
    }
    p->shown++;
    status = p->info.detector ? show_objects(p, &v, err) : show_classes(p, err);
    free(v.pixels);
    if (p->json)
        fputs("]}", stdout);
    return status;
}

static dpf_status parse_fit(const char *word, dpf_fit *fit, dpf_error *err) {
    static const char *const words[] = {"resize", "letterbox", "crop"};
    static const dpf_fit values[] = {DPF_FIT_RESIZE, DPF_FIT_LETTERBOX, DPF_FIT_CROP};
    for (size_t i = 0; i < 3; i++)
        if (strcmp(word, words[i]) == 0) {
            *fit = values[i];
            return DPF_OK;
        }
    return dpf_fail(err, DPF_ERR_ARGUMENT, "-fit %s is not known (allowed: letterbox, resize, crop)", word);
}

dpf_status dpf_run_kernels(const char *word, dpf_kernels *out, dpf_error *err) {
    static const char *const words[] = {
        [DPF_KERNELS_AUTO] = "auto",     [DPF_KERNELS_DENSE] = "dense",       [DPF_KERNELS_SPARSE] = "sparse",
        [DPF_KERNELS_DIRECT] = "direct", [DPF_KERNELS_WINOGRAD] = "winograd", [DPF_KERNELS_BLAS] = "blas"};
    *out = DPF_KERNELS_AUTO;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!word || strcmp(word, words[i]) == 0) {
            *out = (dpf_kernels)i;
            return DPF_OK;
        }
    return dpf_fail(err, DPF_ERR_ARGUMENT,
                    "-kernels %s is not known (allowed: auto, dense, sparse, direct, winograd, blas)", word);
}

static dpf_status open_model(predictor *p, const char *path, const char *weights, const dpf_model_options *options,
                             dpf_error *err) {
    dpf_status status = dpf_model_load(&p->model, path, weights, options, err);
    if (status)
        return status;
    dpf_model_get_info(p->model, &p->info);
    if (p->info.channels < 1 || p->info.channels > 4)
        return dpf_fail(err, DPF_ERR_UNSUPPORTED, "%s: its input is no picture of 1 to 4 channels", path);
    if (p->out && !p->info.detector)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "%s: -out draws boxes, but the network is no detector", path);
    return dpf_context_new(&p->context, p->model, err);
}

int dpf_run_predict(int argc, char **argv) {
    predictor p = {.fit = DPF_FIT_LETTERBOX, .top = 5};
    uint64_t threads = 0;
    const char *fit = NULL, *names = NULL, *kernels = NULL;
    dpf_model_options options = {0};
    const args_flag flags[] = {
        {"-thresh", ARGS_SHARE, &p.detect.thresh, NULL, 0, 0},
        {"-nms", ARGS_SHARE, &p.detect.overlap, NULL, 0, 0},
        {"-top", ARGS_COUNT, &p.top, NULL, 1, 1000},
        {"-names", ARGS_TEXT, &names, NULL, 0, 0},
        {"-fit", ARGS_TEXT, &fit, NULL, 0, 0},
        {"-threads", ARGS_COUNT, &threads, NULL, 1, 1024},
        {"-kernels", ARGS_TEXT, &kernels, NULL, 0, 0},
        {"-tune", ARGS_SWITCH, &options.tune, NULL, 0, 0},
        {"-out", ARGS_TEXT, &p.out, NULL, 0, 0},
        {"-json", ARGS_SWITCH, &p.json, NULL, 0, 0},
    };
    dpf_error err;
    int bad = 0;
    const char **words = calloc((size_t)argc + 1, sizeof *words);
    dpf_status status =
        words ? args_parse(argc, argv, flags, sizeof flags / sizeof *flags, words, 2, (size_t)argc, USAGE, &err)
              : dpf_fail_memory(&err, (unsigned long long)argc, "arguments");
    size_t first = 0;
    if (!status && fit)
        status = parse_fit(fit, &p.fit, &err);
    if (!status)
        status = dpf_run_kernels(kernels, &options.kernels, &err);
    options.threads = (int)threads;
    if (!status)
        first = dpf_modelfile_is_packed(words[0]) ? 1 : 2;
    if (!status && !words[first])
        status = dpf_fail(&err, DPF_ERR_ARGUMENT, "no picture; usage: %s", USAGE);
    p.many = !status && words[first + 1];
    if (!status && names)
        status = lines_read(&p.names, names, "name list", &err);
    if (!status)
        status = open_model(&p, words[0], first == 2 ? words[1] : NULL, &options, &err);
    if (!status && p.json)
        putchar('[');
    for (size_t i = first; !status && words[i]; i++)
        if (predict_one(&p, words[i], &err)) { /* the other pictures still are looked at */
            bad = 1;
            say("%s", err.text);
        }
    if (!status && p.json)
        puts("\n]");
    const int exit_status = status ? say_error(&err) : bad ? EXIT_BAD : EXIT_GOOD;
    dpf_context_free(p.context);
    dpf_model_free(p.model);
    lines_free(&p.names);
    free(words);
    return exit_status;
}
