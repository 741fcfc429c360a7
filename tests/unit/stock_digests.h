/* SPDX-License-Identifier: MIT
 *
 * A digest of the shapes of every stock cfg, taken when all their tables had been
 * compared with Darknet's; see test_model_graph.c, which prints the lines anew where
 * one differs. compare: small enough to be compared each time.
 */
#ifndef DPF_TESTS_STOCK_DIGESTS_H
#define DPF_TESTS_STOCK_DIGESTS_H

static const struct {
    const char *name;
    int compare;
    unsigned long long digest;
} stock_digests[] = {
    {"alexnet", 0, 0xfa383a81c242f555ULL},          {"cifar", 0, 0xf0b51ef178976c8eULL},
    {"cifar.test", 1, 0x16afd7e2c9212624ULL},       {"darknet", 0, 0x12794706ebdc4b88ULL},
    {"darknet19", 0, 0x6b35f9f0fe99fcf2ULL},        {"darknet19_448", 0, 0x1340486cd4d77388ULL},
    {"darknet53", 0, 0x2dd036d30501a6ccULL},        {"darknet53_448", 0, 0xe044e885768b5a63ULL},
    {"darknet9000", 0, 0xf674c51f21e11cefULL},      {"densenet201", 0, 0xa9167bc7b6a5af5fULL},
    {"extraction", 0, 0x661f1f2e678709c7ULL},       {"extraction.conv", 0, 0xccb54ae456ee4cb0ULL},
    {"extraction22k", 0, 0x72d9d4ac0ca40658ULL},    {"go", 0, 0xcad807128e320784ULL},
    {"go.test", 1, 0xcad807128e320784ULL},          {"gru", 1, 0xb09349f9df904a71ULL},
    {"jnet-conv", 0, 0x6e1dc63ca4b3a250ULL},        {"resnet101", 0, 0x407df581a20f25b4ULL},
    {"resnet152", 0, 0xfb4e1a0844b4af1dULL},        {"resnet18", 1, 0x517cc58d83825223ULL},
    {"resnet34", 0, 0xdff8cc8cc454f9e8ULL},         {"resnet50", 0, 0x6c5be9d8c447a1f8ULL},
    {"resnext101-32x4d", 0, 0xac0195234c8aedb9ULL}, {"resnext152-32x4d", 0, 0xcd999ef49fcd7111ULL},
    {"resnext50", 0, 0xcc1710b9f6fad372ULL},        {"rnn", 1, 0x6288e8a4ab516be0ULL},
    {"rnn.train", 0, 0x6288e8a4ab516be0ULL},        {"strided", 0, 0x100c4b468a870a60ULL},
    {"t1.test", 1, 0x824546e9e3e6fccbULL},          {"tiny", 1, 0x53586a9d159b88a9ULL},
    {"vgg-16", 0, 0x1643f6fd96d563aeULL},           {"vgg-conv", 0, 0xeaea96e1e74343f1ULL},
    {"writing", 1, 0xa24517d07ce1ef58ULL},          {"yolo9000", 0, 0xc06a1aaaae1451abULL},
    {"yolov1", 0, 0x62be0b4093911b44ULL},           {"yolov1-tiny", 0, 0x41dc3c22bd0685bdULL},
    {"yolov2", 0, 0x82502eea26615122ULL},           {"yolov2-tiny", 1, 0x2f31a90f1a2d1f81ULL},
    {"yolov2-tiny-voc", 0, 0xb3aaffee6c3a4302ULL},  {"yolov2-voc", 0, 0xcc57b2e17e0f71b9ULL},
    {"yolov3", 0, 0xe36d3ac817edfa4fULL},           {"yolov3-openimages", 0, 0xf2af95575b95d777ULL},
    {"yolov3-spp", 0, 0xd37d576e699cb2b6ULL},       {"yolov3-tiny", 1, 0x77474c4896ce3b83ULL},
    {"yolov3-voc", 0, 0x6467700d70bec911ULL},
};

#endif
