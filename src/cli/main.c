/* SPDX-License-Identifier: MIT
 *
 * The program `darknet`: Darknet's command line with pruning in its training.
 * This file finds out which verb is meant.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../dpf/core/options.h"
#include "terminal/say.h"
#include "verbs/verbs.h"

#ifndef DPF_VERSION
#define DPF_VERSION "0.1.0"
#endif

static const char HELP[] =
    "Darknet with Dynamic Pruning with Feedback (DPF) in its training\n"
    "\n"
    "  darknet classifier train DATA CFG [WEIGHTS]\n"
    "      -clear       start at iteration 0, whatever WEIGHTS says\n"
    "      -seed N      repeat a run bit for bit (order and augmentation of the images, first weights)\n"
    "      -dpf FILE    take the [dpf] section from FILE, not from CFG\n"
    "      -dense       train without pruning: ignore the [dpf] section\n"
    "      -kernels dense  prune, but compute without sparse kernels: slower, to compare\n"
    "      -threads N   cores to use; all of them if not given\n"
    "      -force       train though the cfg has training options that this Darknet does not know\n"
    "      -novalid     do not score the model at the end\n"
    "      -save_every N  iterations between two checkpoints: 1000, and at least every ten minutes\n"
    "      -keep K      keep K older checkpoints too, as NAME_ITERATION.weights and .state\n"
    "  darknet classifier valid DATA CFG WEIGHTS [-engine darknet|dpf]\n"
    "  darknet classifier predict DATA CFG WEIGHTS [IMAGE] [-t N]\n"
    "  darknet detector train DATA CFG [WEIGHTS] [-map]    and the flags above;\n"
    "      -map scores during training and keeps the best model\n"
    "  darknet detector test DATA CFG WEIGHTS [IMAGE] [-thresh 0.5] [-out NAME]\n"
    "  darknet detector valid DATA CFG WEIGHTS [-out NAME]\n"
    "  darknet detector recall DATA CFG WEIGHTS\n"
    "  darknet detector map DATA CFG WEIGHTS [-iou_thresh 0.5] [-thresh 0.005] [-conf_thresh 0.25]\n"
    "      [-points 0|11|101] [-letter_box]        mean average precision; points 0: area under the curve\n"
    "      -engine darknet|dpf for these four: by default our own runtime where it can\n"
    "  darknet dpf pack CFG WEIGHTS OUT.dpf [-half]    both in one small file; -half: weights as float16\n"
    "  darknet dpf unpack IN.dpf CFG WEIGHTS\n"
    "  darknet dpf verify FILE.dpf\n"
    "  darknet dpf predict MODEL.dpf|CFG WEIGHTS IMAGE... [-thresh T] [-names FILE] [-json] [-out NAME]\n"
    "  darknet dpf bench MODEL.dpf|CFG [WEIGHTS] [-sparsity S] [-threads N] [-per-layer] [-tune]\n"
    "      [-kernels auto|dense|sparse|direct|winograd|blas] [-scope layer|global]\n"
    "  darknet dpf convert CFG WEIGHTS OUT [-sparsity S] [-scope global|layer] [-dpf FILE]\n"
    "      [-data DATA [-recalibrate N]] [-clear] [-half]    prunes a trained model at once\n"
    "  darknet dpf sensitivity DATA CFG WEIGHTS [-drop POINTS] [-images N] [-recalibrate N] [-out NAME]\n"
    "  darknet dpf inspect (FILE.dpf | WEIGHTS CFG) [-json]    how sparse each layer is\n"
    "  darknet version\n"
    "\n"
    "Where CFG WEIGHTS stands, one .dpf file may stand instead.\n"
    "\n"
    "A [dpf] section in CFG, for example\n"
    "\n"
    "  [dpf]\n"
    "  sparsity=0.9\n"
    "\n"
    "makes training end with a model that has 90 % of its convolution weights set to zero.\n"
    "Training writes into the folder `backup` of DATA:\n"
    "\n"
    "  NAME_final.weights   the pruned model, for every Darknet\n"
    "  NAME_last.weights    the dense weights, to go on training from: give them as WEIGHTS\n"
    "  NAME_last.state      with this beside them it goes on as if it had never been stopped\n"
    "  NAME_log.csv, NAME_report.html\n"
    "\n"
    "Every other verb of Darknet (detect, yolo, regressor, ...) is handed to /usr/bin/darknet,\n"
    "or to the program that DARKNET_PROGRAM names.\n";

/* Verbs that are Darknet's and not ours. */
static const char *const darknet_verbs[] = {
    "average",  "yolo",  "super",       "lsd",        "detect",    "cifar",   "go",  "rnn",   "coco",
    "classify", "art",   "regressor",   "isegmenter", "segmenter", "tag",     "3d",  "test",  "nightmare",
    "rgbgr",    "reset", "denormalize", "statistics", "normalize", "rescale", "ops", "speed", "oneoff",
    "oneoff2",  "print", "partial",     "visualize",  "mkimg",     "imtest",  NULL};
static const char *const darknet_classifier_verbs[] = {"fout",      "try",       "demo",  "gun",        "threat",
                                                       "test",      "csv",       "label", "validmulti", "valid10",
                                                       "validcrop", "validfull", NULL};
static const char *const all_verbs[] = {
    "classifier", "dpf",    "version",   "help",    "average",   "yolo",        "super",      "lsd",       "detector",
    "detect",     "cifar",  "go",        "rnn",     "coco",      "classify",    "art",        "regressor", "isegmenter",
    "segmenter",  "tag",    "nightmare", "rgbgr",   "reset",     "denormalize", "statistics", "normalize", "rescale",
    "speed",      "oneoff", "print",     "partial", "visualize", "mkimg",       "imtest",     NULL};
static const char *const darknet_detector_verbs[] = {"demo", "valid2", NULL};

static int is_one_of(const char *word, const char *const *list) {
    for (size_t i = 0; list[i]; i++)
        if (strcmp(word, list[i]) == 0)
            return 1;
    return 0;
}

static int asks_for_help(const char *word) {
    static const char *const words[] = {"-h", "-help", "--help", "help", NULL};
    return is_one_of(word, words);
}

static int unknown(const char *what, const char *word, const char *const *known) {
    const char *nearest = dpf_nearest_word(word, known);
    if (nearest)
        say("unknown %s '%s'; did you mean '%s'?", what, word, nearest);
    else
        say("unknown %s '%s'; 'darknet help' lists what there is", what, word);
    return EXIT_BAD;
}

/* A first word and the verbs that may follow it. */
enum { MOST_VERBS = 8 };
typedef struct family {
    const char *name;
    const char *choice; /* its verbs, for people */
    struct {
        const char *name;
        int (*run)(int argc, char **argv); /* gets what follows the verb */
        int (*train)(int argc, char **argv, char *const *command_line);
    } verbs[MOST_VERBS + 1];
    const char *const *darknets; /* verbs that the system's own program has; NULL: none */
} family;

static const family families[] = {
    {"classifier",
     "train, valid or predict",
     {{"train", NULL, classifier_train}, {"valid", classifier_valid, NULL}, {"predict", classifier_predict, NULL}},
     darknet_classifier_verbs},
    {"detector",
     "train, test, valid, recall or map",
     {{"train", NULL, detector_train},
      {"test", detector_test, NULL},
      {"valid", detector_valid, NULL},
      {"recall", detector_recall, NULL},
      {"map", detector_map, NULL}},
     darknet_detector_verbs},
    {"dpf",
     "pack, unpack, verify, predict, bench, inspect, convert or sensitivity",
     {{"pack", dpf_files_pack, NULL},
      {"unpack", dpf_files_unpack, NULL},
      {"verify", dpf_files_verify, NULL},
      {"predict", dpf_run_predict, NULL},
      {"bench", dpf_run_bench, NULL},
      {"inspect", dpf_inspect, NULL},
      {"convert", dpf_convert, NULL},
      {"sensitivity", dpf_sensitivity, NULL}},
     NULL},
};

static int run_family(const family *f, int argc, char **argv) {
    const char *verb = argc > 2 ? argv[2] : NULL, *names[MOST_VERBS + 1] = {0};
    char what[40];
    if (!verb) {
        say("'%s' wants to know what to do: %s; 'darknet help' has the details", f->name, f->choice);
        return EXIT_BAD;
    }
    for (int i = 2; i < argc; i++)
        if (asks_for_help(argv[i]) && (i == 2 || argv[i][0] == '-')) {
            fputs(HELP, stdout);
            return EXIT_GOOD;
        }
    for (size_t i = 0; f->verbs[i].name; i++) {
        names[i] = f->verbs[i].name;
        if (strcmp(verb, f->verbs[i].name) == 0)
            return f->verbs[i].train ? f->verbs[i].train(argc - 3, argv + 3, argv)
                                     : f->verbs[i].run(argc - 3, argv + 3);
    }
    if (f->darknets && is_one_of(verb, f->darknets))
        return passthrough(argv);
    snprintf(what, sizeof what, "verb of '%s'", f->name);
    return unknown(what, verb, names);
}

/* OpenMP's threads spin while they wait for each other. By default they do so for
 * milliseconds, which on a busy machine starves the very thread they wait for; a
 * thousand turns cost nothing on an idle one. The runtime reads the setting when it is
 * loaded, so the program starts itself once more with it. */
static void spin_less(char **argv) {
    char path[4096];
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT"))
        return;
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0 || setenv("GOMP_SPINCOUNT", "1000", 1) != 0)
        return;
    path[length] = 0;
    execv(path, argv); /* when it fails, go on as we are */
}

int main(int argc, char **argv) {
    spin_less(argv);
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is a failed write with a message, not a silent death */
    if (argc < 2) {
        fputs(HELP, stderr);
        return EXIT_BAD;
    }
    const char *verb = argv[1];
    if (asks_for_help(verb)) {
        fputs(HELP, stdout);
        return EXIT_GOOD;
    }
    if (strcmp(verb, "version") == 0 || strcmp(verb, "--version") == 0 || strcmp(verb, "-version") == 0) {
        printf("darknet-dpf %s\n", DPF_VERSION);
        return EXIT_GOOD;
    }
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(verb, families[i].name) == 0)
            return run_family(&families[i], argc, argv);
    /* a Darknet that the user chose may have verbs that we do not know */
    if (is_one_of(verb, darknet_verbs) || (getenv("DARKNET_PROGRAM") && getenv("DARKNET_PROGRAM")[0]))
        return passthrough(argv);
    return unknown("verb", verb, all_verbs);
}
