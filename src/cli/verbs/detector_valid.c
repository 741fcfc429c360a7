/* SPDX-License-Identifier: MIT
 *
 * `darknet detector valid` and `darknet detector recall`: Darknet's own result files and
 * figures. valid writes, for the evaluation programs of
 *
 *   eval=voc        RESULTS/comp4_det_test_CLASS.txt: picture, probability, corners
 *   eval=coco       RESULTS/coco_results.json, ids of pictures from their file names
 *   eval=imagenet   RESULTS/imagenet-detection.txt: number of the picture and class from 1
 *
 * What must stay true: a result file is replaced as a whole, at the end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <errno.h>
#include <omp.h>

#include "../../dpf/model/file.h"
#include "../terminal/args.h"
#include "../score/detector.h"
#include "../data/files.h"
#include "../terminal/model_words.h"
#include "../terminal/say.h"
#include "verbs.h"
#include "../terminal/stop.h"

typedef enum eval_kind { EVAL_VOC, EVAL_COCO, EVAL_IMAGENET } eval_kind;

typedef struct sink { /* one result file while it grows */
    FILE *stream;
    char *text;
    size_t size;
    char *path;
} sink;

typedef struct writer {
    eval_kind kind;
    imagelist *list;
    sink *sinks; /* one a class for VOC, else one */
    size_t count, boxes;
} writer;

/* COCO leaves out 11 of its 90 numbers. */
static int coco_id(int class) {
    static const int gaps[] = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83};
    int id = class + 1;
    for (size_t i = 0; i < sizeof gaps / sizeof *gaps; i++)
        id += id >= gaps[i];
    return id;
}

/* The number at the end of a name such as COCO_val2014_000000000042.jpg. */
static int coco_picture(const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *bar = strrchr(name, '_');
    return atoi(bar ? bar + 1 : name);
}

static float between(float v, float low, float high) {
    return v < low ? low : v > high ? high : v;
}

static void write_box(const writer *w, size_t entry, const char *id, int class, float p, const float *edge) {
    FILE *out = w->sinks[w->kind == EVAL_VOC ? (size_t) class : 0].stream;
    const double l = (double)edge[0], t = (double)edge[1], r = (double)edge[2], b = (double)edge[3];
    if (w->kind == EVAL_VOC)
        fprintf(out, "%s %f %f %f %f %f\n", id, (double)p, l, t, r, b);
    else if (w->kind == EVAL_IMAGENET)
        fprintf(out, "%zu %d %f %f %f %f %f\n", entry + 1, class + 1, (double)p, l, t, r, b);
    else
        fprintf(out, "%s{\"image_id\":%d, \"category_id\":%d, \"bbox\":[%f, %f, %f, %f], \"score\":%f}",
                w->boxes ? ",\n" : "", coco_picture(imagelist_path(w->list, entry)), coco_id(class), l, t, r - l, b - t,
                (double)p);
}

static dpf_status write_picture(void *self, size_t entry, const dn_picture *picture, dpf_detections *found,
                                dpf_error *err) {
    writer *w = self;
    const float first = w->kind == EVAL_VOC ? 1 : 0; /* VOC counts pixels from 1 */
    const float width = (float)picture->w, height = (float)picture->h;
    char *id = files_base(imagelist_path(w->list, entry));
    if (!id)
        return dpf_fail_memory(err, 256, "a picture's name");
    for (size_t i = 0; i < found->count; i++) {
        const dpf_box b = found->list[i].box;
        const float edge[4] = {between((b.x - b.w / 2) * width + first, first, width),
                               between((b.y - b.h / 2) * height + first, first, height),
                               between((b.x + b.w / 2) * width + first, first, width),
                               between((b.y + b.h / 2) * height + first, first, height)};
        for (int k = 0; k < found->classes; k++)
            if (found->list[i].prob[k] > 0) {
                write_box(w, entry, id, k, found->list[i].prob[k], edge);
                w->boxes++;
            }
    }
    free(id);
    return DPF_OK;
}

static dpf_status open_sinks(writer *w, const datafile *data, const char *out, const lines *names, int classes,
                             dpf_error *err) {
    static const char *const defaults[] = {"comp4_det_test_", "coco_results", "imagenet-detection"};
    const char *base = out ? out : defaults[w->kind];
    w->count = w->kind == EVAL_VOC ? (size_t)classes : 1;
    w->sinks = calloc(w->count + 1, sizeof *w->sinks);
    if (!w->sinks)
        return dpf_fail_memory(err, w->count * sizeof *w->sinks, "the results");
    for (size_t i = 0; i < w->count; i++) {
        sink *s = &w->sinks[i];
        char *suffix = NULL;
        const char *class = w->kind == EVAL_VOC ? names->line[i] : "";
        if (asprintf(&suffix, "%s%s.%s", base, class, w->kind == EVAL_COCO ? "json" : "txt") < 0)
            suffix = NULL;
        s->path = suffix ? files_name(data->results, "", suffix) : NULL;
        s->stream = open_memstream(&s->text, &s->size);
        free(suffix);
        if (!s->path || !s->stream)
            return dpf_fail_memory(err, 4096, "the results");
    }
    if (w->kind == EVAL_COCO)
        fputs("[\n", w->sinks[0].stream);
    return DPF_OK;
}

static dpf_status write_sinks(writer *w, dpf_error *err) {
    dpf_status status = DPF_OK;
    if (w->kind == EVAL_COCO)
        fputs("\n]\n", w->sinks[0].stream);
    for (size_t i = 0; i < w->count && !status; i++) {
        sink *s = &w->sinks[i];
        const int failed = fclose(s->stream);
        s->stream = NULL;
        status =
            failed ? dpf_fail_memory(err, s->size, "the results") : dpf_file_replace(s->path, s->text, s->size, err);
    }
    return status;
}

static void free_sinks(writer *w) {
    for (size_t i = 0; w->sinks && i < w->count; i++) {
        if (w->sinks[i].stream)
            fclose(w->sinks[i].stream);
        free(w->sinks[i].text);
        free(w->sinks[i].path);
    }
    free(w->sinks);
}

/* What the data file wants, before an hour of computing. */
static dpf_status check_results(writer *w, const datafile *data, int classes, dpf_error *err) {
    struct stat info;
    const dpf_key *map = dpf_section_find(&data->cfg->sections[0], "map");
    if (map)
        return dpf_fail(err, DPF_ERR_UNSUPPORTED,
                        "%s:%d: 'map=%s' is not supported: results are of the network's own "
                        "classes",
                        data->path, map->line, map->value);
    w->kind = strcmp(data->eval, "coco") == 0       ? EVAL_COCO
              : strcmp(data->eval, "imagenet") == 0 ? EVAL_IMAGENET
                                                    : EVAL_VOC;
    if (w->kind == EVAL_VOC && strcmp(data->eval, "voc") != 0)
        return dpf_fail(err, DPF_ERR_RANGE, "%s: eval=%s: voc, coco or imagenet is wanted", data->path, data->eval);
    if (w->kind == EVAL_COCO && classes > 80)
        return dpf_fail(err, DPF_ERR_RANGE, "%s: eval=coco: COCO has 80 classes, the network finds %d", data->path,
                        classes);
    if (stat(data->results, &info))
        return dpf_fail(err, DPF_ERR_IO, "results folder '%s': %s%s", data->results, strerror(errno),
                        errno == ENOENT ? " (it must be there: mkdir it, or set 'results' in the data file)" : "");
    if (!S_ISDIR(info.st_mode))
        return dpf_fail(err, DPF_ERR_IO, "results folder '%s': is not a folder", data->results);
    return DPF_OK;
}

/* What both verbs read. */
typedef struct common {
    engine_args model;
    datafile data;
    engine *net;
} common;

static dpf_status open_common(common *c, int argc, char **argv, const char **out, const char *usage, dpf_error *err) {
    uint64_t threads = 0;
    const char *words[3], *runner = NULL;
    const args_flag flags[] = {
        {"-engine", ARGS_TEXT, &runner, NULL, 0, 0},    {"-threads", ARGS_COUNT, &threads, NULL, 1, 1024},
        {"-dpf", ARGS_TEXT, &c->model.dpf, NULL, 0, 0}, ARGS_DARKNET_FLAGS,
        {"-out", ARGS_TEXT, out, NULL, 0, 0},
    };
    const size_t count = sizeof flags / sizeof *flags - (out ? 0 : 1);
    dpf_status status = args_parse(argc, argv, flags, count, words, 2, 3, usage, err);
    if (!status)
        status = model_words(words, 1, 3, 3, usage, err);
    if (!status)
        status = engine_parse(runner, &c->model.choice, err);
    if (status)
        return status;
    if (threads)
        omp_set_num_threads((int)threads);
    c->model.cfg = words[1];
    c->model.weights = words[2];
    c->model.threads = (int)threads;
    status = datafile_read(&c->data, words[0], DATA_VALID, err);
    if (!status)
        status = engine_open(&c->net, &c->model, err);
    if (!status)
        status = detector_fits(&c->data, c->model.cfg, engine_classes(c->net), err);
    return status;
}

static int close_common(common *c, dpf_status status, const dpf_error *err) {
    const int exit_status = status ? say_error(err) : stop_signal() ? 128 + stop_signal() : EXIT_GOOD;
    engine_close(c->net);
    datafile_free(&c->data);
    return exit_status;
}

int detector_valid(int argc, char **argv) {
    const char *out = NULL;
    common c = {0};
    writer w = {0};
    lines names = {0};
    size_t pictures = 0;
    dpf_error err;
    dpf_status status =
        open_common(&c, argc, argv, &out,
                    "darknet detector valid DATA CFG WEIGHTS [-out NAME] [-threads N] [-engine darknet|dpf]", &err);
    if (!status)
        status = check_results(&w, &c.data, engine_classes(c.net), &err);
    if (!status)
        status = detector_names(&names, &c.data, c.model.cfg, engine_classes(c.net), &err);
    if (!status)
        status = imagelist_open(&w.list, c.data.valid, "validation list", &err);
    if (!status)
        status = open_sinks(&w, &c.data, out, &names, engine_classes(c.net), &err);
    const detector_pass pass = {
        .net = c.net,
        .list = w.list,
        .letterbox = 1,
        .threshold = .005f,
        .suppression = .45f,
        .what = "valid",
        .self = &w,
        .each = write_picture,
    };
    if (!status) {
        stop_install();
        status = detector_run(&pass, &pictures, &err);
    }
    if (!status && !stop_signal())
        status = write_sinks(&w, &err);
    if (!status && !stop_signal())
        printf("%zu boxes in %zu images: %s%s\n", w.boxes, pictures, w.sinks[0].path, w.count > 1 ? ", ..." : "");
    free_sinks(&w);
    imagelist_free(w.list);
    lines_free(&names);
    return close_common(&c, status, &err);
}

typedef struct recaller {
    const labels *boxes;
    size_t pictures, objects, right, proposals;
    double iou;
} recaller;

static const float RECALL_THRESHOLD = .001f;

static dpf_status recall_picture(void *self, size_t entry, const dn_picture *picture, dpf_detections *found,
                                 dpf_error *err) {
    recaller *r = self;
    const dn_boxes *truth = &r->boxes->of[entry];
    (void)picture;
    (void)err;
    dpf_detections_suppress_any(found, .4f);
    for (size_t i = 0; i < found->count; i++)
        r->proposals += found->list[i].objectness > RECALL_THRESHOLD;
    for (size_t i = 0; i < truth->count; i++) {
        const dn_box *t = &truth->list[i];
        float best = 0;
        for (size_t k = 0; k < found->count; k++) {
            const float iou = dpf_box_iou(found->list[k].box, (dpf_box){t->x, t->y, t->w, t->h});
            best = found->list[k].objectness > RECALL_THRESHOLD && iou > best ? iou : best;
        }
        r->iou += (double)best;
        r->right += best > .5f;
    }
    r->objects += truth->count;
    const double objects = r->objects ? (double)r->objects : 1;
    fprintf(stderr, "%5zu %5zu %5zu\tRPs/Img: %.2f\tIOU: %.2f%%\tRecall:%.2f%%\n", r->pictures, r->right, r->objects,
            (double)r->proposals / (double)(r->pictures + 1), 100 * r->iou / objects, 100 * (double)r->right / objects);
    r->pictures++;
    return DPF_OK;
}

int detector_recall(int argc, char **argv) {
    common c = {0};
    detector_truth truth = {0};
    size_t pictures = 0;
    dpf_error err;
    dpf_status status = open_common(
        &c, argc, argv, NULL, "darknet detector recall DATA CFG WEIGHTS [-threads N] [-engine darknet|dpf]", &err);
    if (!status)
        status = detector_truth_open(&truth, &c.data, engine_classes(c.net), &err);
    recaller r = {.boxes = &truth.boxes};
    const detector_pass pass = {
        .net = c.net,
        .list = truth.list,
        .threshold = RECALL_THRESHOLD,
        .what = NULL,
        .self = &r,
        .each = recall_picture,
    };
    if (!status) {
        stop_install();
        status = detector_run(&pass, &pictures, &err);
    }
    if (!status && !stop_signal()) {
        const double objects = r.objects ? (double)r.objects : 1;
        printf("recall %.2f %% of %zu objects, average IoU %.2f %%, %.2f boxes an image, %zu images\n",
               100 * (double)r.right / objects, r.objects, 100 * r.iou / objects,
               (double)r.proposals / (double)pictures, pictures);
    }
    detector_truth_free(&truth);
    return close_common(&c, status, &err);
}
