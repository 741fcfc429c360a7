/* SPDX-License-Identifier: MIT
 *
 * The graph of a cfg. Stock cfgs of Debian's darknet package, where it is installed,
 * are built and compared, layer by layer, with the table that /usr/bin/darknet
 * itself prints; then mistakes, one each, must be refused with the line they stand
 * on.
 *
 * Darknet allocates and fills a whole network for its table, minutes for all of
 * them. So a few small cfgs, with most kinds of layers, go through it each time; for
 * every cfg a digest of all shapes must be that of the day when all were compared.
 * DPF_TEST_ALL=1 compares all again.
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

#include "dpf/model/graph.h"
#include "stock_digests.h"

#define STOCK "/usr/share/darknet/cfg"

typedef struct net {
    dpf_cfg *cfg, *dpf;
    dpf_graph *graph;
    dpf_status status;
    dpf_error err;
} net;

static net build_with(const char *text, const char *dpf) {
    net n = {0};
    if (dpf_cfg_parse(&n.cfg, "t.cfg", text, strlen(text), &n.err) != DPF_OK)
        fail_msg("%s", n.err.text);
    if (dpf && dpf_cfg_parse(&n.dpf, "d.cfg", dpf, strlen(dpf), &n.err) != DPF_OK)
        fail_msg("%s", n.err.text);
    n.status = dpf_graph_new(&n.graph, n.cfg, n.dpf, &n.err);
    return n;
}

static net build(const char *text) {
    net n = build_with(text, NULL);
    if (n.status != DPF_OK)
        fail_msg("%s", n.err.text);
    return n;
}

static void done(net n) {
    dpf_graph_free(n.graph);
    dpf_cfg_free(n.cfg);
    dpf_cfg_free(n.dpf);
}

/* One line of Darknet's table, as far as it says anything, against our layer. */
static void compare_line(const dpf_graph *graph, const char *line, size_t *seen) {
    int n, a[9];
    int used = 0;
    if (sscanf(line, "%d%n", &n, &used) != 1 || line[used] != ' ')
        return;
    if (n != (int)*seen)
        fail_msg("Darknet's layer %d where layer %zu was expected: %s", n, *seen, line);
    assert_true((size_t)n < graph->count);
    ++*seen;
    const dpf_graph_layer *l = &graph->layers[n];
    const char *rest = line + used;
    if (sscanf(rest, " conv %d %d x%d /%d %d x%d x%d -> %d x%d x%d", &a[0], &a[1], &a[2], &a[3], &a[4], &a[5], &a[6],
               &a[7], &a[8], &used) == 10) {
        assert_int_equal(l->type, DPF_CONVOLUTIONAL);
        int mine[] = {l->filters, l->size, l->size, l->stride, l->w, l->h, l->c, l->out_w, l->out_h};
        assert_memory_equal(a, mine, sizeof mine);
        assert_int_equal(used, l->out_c);
        double flops;
        assert_int_equal(sscanf(strstr(rest, "->"), "-> %*d x%*d x%*d %lf", &flops), 1);
        assert_true(flops - 2 * l->multiply_adds / 1e9 < 6e-4 && 2 * l->multiply_adds / 1e9 - flops < 6e-4);
    } else if (sscanf(rest, " max %d x%d /%d %d x%d x%d -> %d x%d x%d", &a[0], &a[1], &a[2], &a[3], &a[4], &a[5], &a[6],
                      &a[7], &a[8]) == 9) {
        assert_int_equal(l->type, DPF_MAXPOOL);
        int mine[] = {l->size, l->size, l->stride, l->w, l->h, l->c, l->out_w, l->out_h, l->out_c};
        assert_memory_equal(a, mine, sizeof mine);
    } else if (sscanf(rest, " res %d %d x%d x%d -> %d x%d x%d", &a[0], &a[1], &a[2], &a[3], &a[4], &a[5], &a[6]) == 7) {
        assert_int_equal(l->type, DPF_SHORTCUT);
        const dpf_graph_layer *from = &graph->layers[l->from[1]];
        int mine[] = {l->from[1], from->out_w, from->out_h, from->out_c, l->out_w, l->out_h, l->out_c};
        assert_memory_equal(a, mine, sizeof mine);
    } else if (sscanf(rest, " upsample %dx %d x%d x%d -> %d x%d x%d", &a[0], &a[1], &a[2], &a[3], &a[4], &a[5],
                      &a[6]) == 7 ||
               sscanf(rest, " reorg /%d %d x%d x%d -> %d x%d x%d", &a[0], &a[1], &a[2], &a[3], &a[4], &a[5], &a[6]) ==
                   7) {
        assert_true(l->type == DPF_UPSAMPLE || l->type == DPF_REORG);
        int mine[] = {l->stride, l->w, l->h, l->c, l->out_w, l->out_h, l->out_c};
        assert_memory_equal(a, mine, sizeof mine);
    } else if (sscanf(rest, " connected %d -> %d", &a[0], &a[1]) == 2 ||
               sscanf(rest, " dropout p = %*f %d -> %d", &a[0], &a[1]) == 2 ||
               sscanf(rest, " reorg %d -> %d", &a[0], &a[1]) == 2 ||
               sscanf(rest, " RNN Layer: %d inputs, %d", &a[0], &a[1]) == 2 ||
               sscanf(rest, " GRU Layer: %d inputs, %d", &a[0], &a[1]) == 2) {
        assert_int_equal(a[0], l->inputs);
        assert_int_equal(a[1], l->outputs);
    } else if (sscanf(rest, " avg %d x%d x%d -> %d", &a[0], &a[1], &a[2], &a[3]) == 4) {
        int mine[] = {l->w, l->h, l->c, (int)l->outputs};
        assert_memory_equal(a, mine, sizeof mine);
    } else if (sscanf(rest, " softmax %d", &a[0]) == 1 || sscanf(rest, " cost %d", &a[0]) == 1) {
        assert_int_equal(a[0], l->outputs);
    } else if (sscanf(rest, " Crop Layer: %d x %d -> %d x %d x %d", &a[0], &a[1], &a[2], &a[3], &a[4]) == 5) {
        int mine[] = {l->h, l->w, l->out_h, l->out_w, l->out_c};
        assert_memory_equal(a, mine, sizeof mine);
    } else if (sscanf(rest, " Local Layer: %d x %d x %d image, %d filters -> %d x %d x %d", &a[0], &a[1], &a[2], &a[3],
                      &a[4], &a[5], &a[6]) == 7) {
        int mine[] = {l->h, l->w, l->c, l->filters, l->out_h, l->out_w, l->out_c};
        assert_memory_equal(a, mine, sizeof mine);
    } else if (strncmp(rest, " route", 6) == 0) {
        assert_int_equal(l->type, DPF_ROUTE);
        const char *at = rest + 6;
        for (size_t i = 0; i < l->from_count; ++i) {
            assert_int_equal(sscanf(at, "%d%n", &a[0], &used), 1);
            assert_int_equal(a[0], l->from[i]);
            at += used;
        }
        assert_int_equal(sscanf(at, "%d", &a[0]), EOF);
    } else if (strstr(rest, "yolo") || strstr(rest, "etection") || strstr(rest, "Using default")) {
        assert_true(l->type == DPF_YOLO || l->type == DPF_REGION || l->type == DPF_DETECTION || l->type == DPF_COST);
    } else {
        fail_msg("a line of Darknet's table that this test does not know: %s", line);
    }
}

static void compare_with_darknet(const dpf_graph *graph, const char *path) {
    char command[1024], line[512];
    snprintf(command, sizeof command, "cd /usr/share/darknet && /usr/bin/darknet ops %s 2>&1", path);
    FILE *table = popen(command, "r");
    size_t seen = 0;
    int started = 0;
    assert_non_null(table);
    while (fgets(line, sizeof line, table)) {
        if (started)
            compare_line(graph, line, &seen);
        started |= strncmp(line, "layer ", 6) == 0;
    }
    pclose(table);
    if (seen != graph->count)
        fail_msg("%s: Darknet's table has %zu layers, ours %zu", path, seen, graph->count);
}

/* FNV-1a of everything that a layer's line in the table says, and of where its parameters are. */
static unsigned long long digest(const dpf_graph *graph) {
    unsigned long long hash = 14695981039346656037ULL;
    for (size_t i = 0; i < graph->count; ++i) {
        const dpf_graph_layer *l = &graph->layers[i];
        const size_t facts[] = {(size_t)l->type,
                                (size_t)l->c,
                                (size_t)l->h,
                                (size_t)l->w,
                                (size_t)l->out_c,
                                (size_t)l->out_h,
                                (size_t)l->out_w,
                                l->inputs,
                                l->outputs,
                                (size_t)l->filters,
                                (size_t)l->size,
                                (size_t)l->stride,
                                (size_t)l->pad,
                                (size_t)l->groups,
                                l->weights,
                                l->biases,
                                l->bn,
                                l->opaque,
                                l->offset,
                                (size_t)l->multiply_adds,
                                l->from_count};
        for (size_t f = 0; f < sizeof facts / sizeof facts[0] + l->from_count; ++f) {
            size_t known = sizeof facts / sizeof facts[0];
            unsigned long long fact = f < known ? facts[f] : (unsigned long long)l->from[f - known];
            for (int byte = 0; byte < 8; ++byte)
                hash = (hash ^ (fact >> 8 * byte & 255)) * 1099511628211ULL;
        }
    }
    return hash;
}

static void test_stock_tables(void **state) {
    (void)state;
    if (access(STOCK, R_OK) != 0 || access("/usr/bin/darknet", X_OK) != 0)
        skip();
    const char *all = getenv("DPF_TEST_ALL");
    size_t count = sizeof stock_digests / sizeof stock_digests[0], wrong = 0;
    for (size_t i = 0; i < count; ++i) {
        char path[512];
        dpf_cfg *cfg = NULL;
        dpf_graph *graph = NULL;
        dpf_error err;
        snprintf(path, sizeof path, STOCK "/%s.cfg", stock_digests[i].name);
        if (dpf_cfg_read(&cfg, path, &err) != DPF_OK || dpf_graph_new(&graph, cfg, NULL, &err) != DPF_OK)
            fail_msg("%s", err.text);
        if (digest(graph) != stock_digests[i].digest) {
            print_error("    {\"%s\", %d, 0x%016llxULL},\n", stock_digests[i].name, stock_digests[i].compare,
                        digest(graph));
            ++wrong;
        }
        if (stock_digests[i].compare || all)
            compare_with_darknet(graph, path);
        dpf_graph_free(graph);
        dpf_cfg_free(cfg);
    }
    assert_int_equal(wrong, 0);
}

#define NET "[net]\nwidth=8\nheight=8\nchannels=3\nbatch=4\nmax_batches=100\n"
#define CONV "[convolutional]\nfilters=4\nsize=3\npad=1\nstride=1\nactivation=leaky\nbatch_normalize=1\n"

static void test_shapes(void **state) {
    (void)state;
    net n = build(NET CONV "[conv]\nfilters=6\nsize=3\nstride=2\npadding=2\ngroups=2\n[max]\nsize=2\nstride=2\n"
                           "[route]\nlayers=-1,2\n[deconv]\nfilters=2\nsize=4\nstride=2\n[conn]\noutput=5\n"
                           "[batchnorm]\n[softmax]\n[cost]\n");
    dpf_graph *g = n.graph;
    assert_int_equal(g->count, 9);
    assert_int_equal(g->layers[0].weights, 4 * 3 * 9);
    assert_int_equal(g->layers[0].parameters, 4 * 3 * 9 + 16);
    assert_int_equal(g->layers[1].out_w, (8 + 4 - 3) / 2 + 1);
    assert_int_equal(g->layers[1].weights, 6 * 2 * 9);
    assert_int_equal(g->layers[1].activation, DPF_LOGISTIC_ACT);
    assert_int_equal(g->layers[1].bn, 0);
    assert_int_equal(g->layers[2].out_w, (5 + 1 - 2) / 2 + 1);
    assert_int_equal(g->layers[3].out_c, 12);
    assert_int_equal(g->layers[3].from_count, 2);
    assert_int_equal(g->layers[4].out_w, 2 * 2 + 4);
    assert_int_equal(g->layers[4].weights, 12 * 2 * 16);
    assert_int_equal(g->layers[5].weights, 5 * 2 * 64);
    assert_int_equal(g->layers[6].parameters, 15);
    assert_int_equal(g->output_layer, 7);
    assert_int_equal(g->outputs, 5);
    size_t sum = 0;
    for (size_t i = 0; i < g->count; ++i) {
        assert_int_equal(g->layers[i].offset, sum);
        sum += g->layers[i].parameters;
    }
    assert_int_equal(g->parameters, sum);
    done(n);
}

static void test_prunable(void **state) {
    (void)state;
    net n = build(NET CONV CONV "groups=4\n" CONV "prune=0\n" CONV "groups=4\nprune=1\nsparsity=.5\n"
                                "[conv]\nfilters=18\nsize=1\n[yolo]\nclasses=1\nnum=3\n[route]\nlayers=-4\n" CONV
                                "[avgpool]\n[softmax]\n[dpf]\nsparsity=.9\n");
    const int wanted[] = {1, 0, 0, 1, 0, 0, 0, 1, 0, 0};
    for (size_t i = 0; i < 10; ++i)
        assert_int_equal(n.graph->layers[i].prunable, wanted[i]);
    assert_true(n.graph->layers[3].sparsity == .5 && n.graph->layers[0].sparsity == -1);
    assert_int_equal(n.graph->prunable_weights, 4 * 3 * 9 + 4 * 9 + 4 * 4 * 9);
    assert_int_equal(n.graph->has_dpf, 1);
    assert_true(n.graph->options.sparsity == .9);
    dpf_options options;
    assert_int_equal(dpf_graph_options(n.graph, &options, &n.err), DPF_OK);
    assert_int_equal(options.end, 50);
    done(n);

    n = build_with(NET "policy=steps\nsteps=10,40\nscales=.1,.1\n" CONV "[dpf]\nsparsity=.9\n", "[dpf]\nsparsity=.5\n");
    assert_int_equal(n.status, DPF_OK);
    assert_true(n.graph->options.sparsity == .5);
    assert_string_equal(n.graph->dpf_file, "d.cfg");
    assert_int_equal(dpf_graph_second_step(n.graph), 40);
    done(n);
    n = build(NET "policy=steps\nsteps=-1,10,50,90\nscales=.1,10,.1,.1\n" CONV);
    assert_int_equal(dpf_graph_second_step(n.graph), 90);
    done(n);
    n = build(NET "policy=steps\nsteps=50,101\nscales=.1,.1\n" CONV);
    assert_int_equal(dpf_graph_second_step(n.graph), 0);
    done(n);
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
        dpf_status status;
    } bad[] = {
        {"", "t.cfg:1: the first section must be [net]", DPF_ERR_FORMAT},
        {"a=1\n[net]\n", "t.cfg:1:", DPF_ERR_FORMAT},
        {CONV, "t.cfg:1: the first section must be [net]", DPF_ERR_FORMAT},
        {"[dpf]\nsparsity=.9\n" NET, "t.cfg:1: the first section", DPF_ERR_FORMAT},
        {"[net]\nbatch=1\n[cost]\n", "t.cfg:1: [net] needs", DPF_ERR_RANGE},
        {NET, "no layers", DPF_ERR_FORMAT},
        {NET NET CONV, "t.cfg:7: a second [net]", DPF_ERR_FORMAT},
        {NET "subdivisions=5\n" CONV, "subdivisions=5", DPF_ERR_RANGE},
        {NET "policy=stepz\n" CONV, "did you mean step", DPF_ERR_FORMAT},
        {NET "policy=steps\n" CONV, "needs steps=", DPF_ERR_FORMAT},
        {NET "policy=steps\nsteps=1,2\nscales=1\n" CONV, "2 steps but 1 scales", DPF_ERR_MISMATCH},
        {NET "[convolutionl]\n", "did you mean [convolutional]", DPF_ERR_FORMAT},
        {NET "[conv]\nactivation=leeky\n", "t.cfg:8: activation=leeky is not known; did you mean leaky?",
         DPF_ERR_FORMAT},
        {NET "[conv]\nfilters=0\n", "t.cfg:8: filters=0", DPF_ERR_RANGE},
        {NET "[conv]\nfilters=x\n", "t.cfg:8: filters=x", DPF_ERR_FORMAT},
        {NET "[conv]\nstride=0\n", "t.cfg:8: stride=0", DPF_ERR_RANGE},
        {NET "[conv]\nsize=9\n", "t.cfg:7: layer 0 (convolutional) a kernel of 9 x 9 does not fit", DPF_ERR_MISMATCH},
        {NET "[conv]\ngroups=2\n", "groups=2", DPF_ERR_MISMATCH},
        {NET "[conv]\nfilters=16777216\nsize=8\n", "too large", DPF_ERR_RANGE},
        {NET "[conv]\npadding=16777216\ndilation=16777216\n", "padding", DPF_ERR_RANGE},
        /* the weights alone still fit an int, weights and biases do not */
        {"[net]\ninputs=255\n[conn]\noutput=8421504\n", "too many parameters: 2155905024", DPF_ERR_RANGE},
        {NET CONV "[route]\nlayers=1\n", "reads layer 1, which does not come before it", DPF_ERR_RANGE},
        {NET CONV "[route]\nlayers=5\n", "t.cfg:14: layer 1 (route) reads layer 5", DPF_ERR_RANGE},
        {NET CONV "[route]\nlayers=-2\n", "before the first", DPF_ERR_RANGE},
        {NET CONV "[route]\nlayers=-1,a\n", "entry 2 is not a number", DPF_ERR_FORMAT},
        {NET CONV "[route]\n", "needs layers=", DPF_ERR_FORMAT},
        {NET CONV "[max]\nstride=2\n[route]\nlayers=-1,-2\n", "different sizes", DPF_ERR_MISMATCH},
        {NET CONV "[shortcut]\nfrom=-9\n", "before the first", DPF_ERR_RANGE},
        {NET CONV "[conv]\nsize=3\n[shortcut]\nfrom=0\n", NULL, DPF_OK}, /* 6 x 6 and 8 x 8: quotients agree */
        {NET CONV "[conn]\noutput=3\n[softmax]\n[conv]\n", "needs a picture", DPF_ERR_MISMATCH},
        {NET "[reorg]\nstride=3\n", "does not divide", DPF_ERR_MISMATCH},
        {NET "[dropout]\n", "first layer", DPF_ERR_MISMATCH},
        {NET CONV "[dropout]\nprobability=1\n", "probability=1", DPF_ERR_RANGE},
        {NET CONV "[softmax]\ngroups=7\n", "groups=7", DPF_ERR_MISMATCH},
        {NET CONV "[cost]\ntype=sze\n", "type=sze", DPF_ERR_FORMAT},
        {NET CONV "[yolo]\nclasses=1\nnum=3\n", "filters=18 in the layer before, not 4", DPF_ERR_MISMATCH},
        {NET CONV "[yolo]\nnum=3\nmask=3\n", "mask: entry 1 is 3", DPF_ERR_RANGE},
        {NET CONV "[yolo]\nnum=1\nanchors=1,2,3\n", "anchors= has 3 values, num=1 needs 2", DPF_ERR_MISMATCH},
        {NET CONV "[detection]\n", "needs 147 inputs", DPF_ERR_MISMATCH},
        {NET CONV "[dpf]\nsparsity=.9\n[dpf]\nsparsity=.8\n",
         "t.cfg:16: a second [dpf] section; the first is in line 14", DPF_ERR_FORMAT},
        {NET CONV "[dpf]\nsparsity=1.2\n", "t.cfg:15", DPF_ERR_RANGE},
        {NET CONV "[dpf]\nsparsty=.9\n", "sparsity", DPF_ERR_FORMAT},
        {NET CONV "prune=0\n[dpf]\nsparsity=.9\n", "no layer of t.cfg is prunable", DPF_ERR_RANGE},
        {NET CONV "prune=2\n", "t.cfg:14", DPF_ERR_RANGE},
        {NET CONV "[max]\nprune=1\n", "t.cfg:15: prune= is for [convolutional]", DPF_ERR_FORMAT},
        {NET CONV "[softmax]\n[dpf]\nsparsity=.5\n", "no layer of t.cfg is prunable", DPF_ERR_RANGE},
        {NET CONV "sparsity=.5\n[softmax]\n", "prune=1 makes it so", DPF_ERR_RANGE},
        {NET "[conv_lstm]\n", "only AlexeyAB's fork", DPF_ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        net n = build_with(bad[i].text, NULL);
        if (n.status != bad[i].status)
            fail_msg("case %zu: status %d: %s", i, n.status, n.status ? n.err.text : bad[i].text);
        if (n.status != DPF_OK && !strstr(n.err.text, bad[i].message))
            fail_msg("case %zu: '%s' lacks '%s'", i, n.err.text, bad[i].message);
        done(n);
    }
    net n = build_with(NET CONV, "[dpf]\nsparsity=.5\n[conv]\n");
    assert_int_equal(n.status, DPF_ERR_FORMAT);
    assert_non_null(strstr(n.err.text, "d.cfg:3: only a [dpf] section"));
    done(n);
    n = build_with(NET CONV, "sparsity=.5\n");
    assert_int_equal(n.status, DPF_ERR_FORMAT);
    assert_non_null(strstr(n.err.text, "d.cfg: has no [dpf] section"));
    done(n);
}

static void test_stock_only(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
        int training_only;
    } foreign[] = {
        {NET CONV "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n", "t.cfg:16: layer 1: [route] groups=2", 0},
        {NET "[conv]\nactivation=mish\n", "t.cfg:8: layer 0: activation=mish needs AlexeyAB's fork", 0},
        {NET "[conv]\nstride_x=2\n", "stride_x=2", 0},
        {NET "[conv]\nsize=3\npad=1\ndilation=2\n", "dilation=2", 0},
        {NET "[conv]\ncbn=1\n", "[conv] cbn=1", 0},
        {NET "[conv]\nbatch_normalize=1\ncbn=1\n", "[conv] cbn=1", 1},
        {NET "[conv]\nbatch_normalize=2\n", "batch_normalize=2 (", 1},
        {NET CONV "stopbackward=800\n", "stopbackward=800 (", 1},
        {NET "[rnn]\noutput=5\nhidden=7\n", "hidden=7", 0},
        {NET "[crnn]\noutput=5\n", "output=5", 0},
        {NET "[max]\nmaxpool_depth=1\nout_channels=1\n", "maxpool_depth=1 (", 0},
        {NET CONV "[dropout]\ndropblock=1\n", "dropblock=1", 1},
        {NET "[max]\nantialiasing=1\n", "antialiasing=1", 0},
        {NET CONV CONV "[shortcut]\nfrom=-2\nweights_type=per_channel\n", "weights_type", 0},
        {NET CONV CONV CONV "[shortcut]\nfrom=-2,-3\n", "more than one", 0},
        {NET CONV CONV "[sam]\nfrom=-2\n", "[sam] needs AlexeyAB's fork", 0},
        {NET "[conv]\nfilters=18\n[yolo]\nclasses=1\nnum=3\nscale_x_y=1.05\n", "scale_x_y=1.05", 0},
        {NET "[conv]\nfilters=18\n[yolo]\nclasses=1\nnum=3\nnew_coords=1\n", "new_coords=1", 0},
        {NET "[conv]\nfilters=18\n[yolo]\nclasses=1\nnum=3\niou_loss=ciou\n", "iou_loss=ciou", 1},
        {NET "mosaic=1\n" CONV, "t.cfg:7: [net] mosaic=1", 1},
        {NET "[conv]\nfilters=18\n[yolo]\nclasses=1\nnum=3\nnms_kind=diounms\n", "nms_kind=diounms", 0},
        {NET "[conv]\nfilters=18\n[yolo]\nclasses=1\nnum=3\nrandom=1.4\n", "random=1.4 (", 1},
        {NET "policy=sgdr\n" CONV, "policy=sgdr", 1},
        /* what cannot be forced is named first, and the rest counted */
        {NET "mosaic=1\n" CONV "[route]\nlayers=-1\ngroups=2\n",
         "groups=2 (takes one part of the channels) needs "
         "AlexeyAB's fork; this Darknet does not know it (and 1 more like this)",
         0},
        /* known, but of no use on a CPU */
        {NET "[conv]\nfilters=30\n[region]\ntree=no.tree\nclasses=1\nnum=5\n",
         "[region] tree=no.tree (file with a tree of classes) needs AlexeyAB's fork; this Darknet divides by 0 there",
         0},
    };
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; ++i) {
        net n = build(foreign[i].text);
        assert_int_equal(dpf_graph_check_stock(n.graph, 0, &n.err),
                         foreign[i].training_only ? DPF_OK : DPF_ERR_UNSUPPORTED);
        assert_int_equal(dpf_graph_check_stock(n.graph, 1, &n.err), DPF_ERR_UNSUPPORTED);
        if (!strstr(n.err.text, foreign[i].message))
            fail_msg("case %zu: '%s' lacks '%s'", i, n.err.text, foreign[i].message);
        done(n);
    }
    net n = build(NET "mosaic=0\nletter_box=1\n[conv]\nfilters=18\nstride=2\nstride_x=2\ndilation=3\nstream=1\n[yolo]"
                      "\nclasses=1\nnum=3\nscale_x_y=1.0\n"
                      "nms_kind=greedynms\niou_loss=mse\n[route]\nlayers=-1\ngroups=1\n");
    assert_int_equal(dpf_graph_check_stock(n.graph, 1, &n.err), DPF_OK);
    assert_int_equal(n.graph->issues_count, 0);
    done(n);
    n = build(NET "[rnn]\noutput=5\nhidden=5\n");
    assert_int_equal(n.graph->issues_count, 0);
    done(n);
    n = build(NET CONV "[softmax]\ntree=/nonexistent.tree\n");
    assert_int_equal(dpf_graph_check_stock(n.graph, 0, &n.err), DPF_ERR_IO);
    assert_non_null(strstr(n.err.text, "t.cfg:14: layer 1 (softmax): tree=/nonexistent.tree"));
    done(n);
}

/* Keys that nobody reads, or that do not count, are remarks; and they explain a shape that does not fit. */
static void test_remarks(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } odd[] = {
        {NET CONV "filtres=8\n", "t.cfg:14: layer 0: [convolutional] filtres=8: no Darknet reads this key; did you "
                                 "mean 'filters'?"},
        {NET "adam=1\n" CONV, "t.cfg:7: [net] adam=1: Darknet has Adam on GPUs only; here momentum= and decay= count"},
        {NET "mosiac=1\n" CONV, "t.cfg:7: [net] mosiac=1: no Darknet reads this key; did you mean 'mosaic'?"},
        {NET CONV "xyzzyxyzzy=1\n", "t.cfg:14: layer 0: [convolutional] xyzzyxyzzy=1: no Darknet reads this key"},
        {NET CONV "size=5\n", "t.cfg:14: layer 0: [convolutional] size=5 does not count: Darknet takes the first, 3 "
                              "in line 9"},
    };
    char text[1024];
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; ++i) {
        net n = build(odd[i].text);
        assert_int_equal(n.graph->issues_count, 1);
        assert_null(n.graph->issues[0].who);
        dpf_graph_issue_text(n.graph, &n.graph->issues[0], text, sizeof text);
        assert_string_equal(text, odd[i].message);
        assert_int_equal(dpf_graph_check_stock(n.graph, 1, &n.err), DPF_OK);
        done(n);
    }
    net n = build(NET CONV "size=3\nprune=1\n"); /* said twice alike; a key of ours */
    assert_int_equal(n.graph->issues_count, 0);
    done(n);
    n = build_with(NET "[conv]\nfliters=18\n[yolo]\nclasses=1\nnum=3\n", NULL);
    assert_int_equal(n.status, DPF_ERR_MISMATCH);
    assert_non_null(strstr(n.err.text, "filters=18 in the layer before, not 1; perhaps because of this: t.cfg:8: "));
    done(n);
    n = build_with(NET "[conv]\nfilters=18\n[yolo]\nclasses=1\nanchorz=1\nnumm=3\n", NULL); /* in the layer itself */
    assert_int_equal(n.status, DPF_ERR_MISMATCH);
    assert_non_null(strstr(n.err.text, "did you mean 'anchors'?"));
    done(n);
    n = build_with(NET "[conv]\nactivation=revleaky\n", NULL);
    assert_int_equal(n.status, DPF_ERR_UNSUPPORTED);
    done(n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remarks),  cmocka_unit_test(test_stock_tables), cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_prunable), cmocka_unit_test(test_refused),      cmocka_unit_test(test_stock_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
