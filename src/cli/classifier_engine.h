/* SPDX-License-Identifier: MIT
 *
 * A classifier run by our own runtime instead of Darknet's network, on pictures that
 * Darknet's loader has prepared: both engines see the same floats.
 */
#ifndef DPF_CLI_CLASSIFIER_ENGINE_H
#define DPF_CLI_CLASSIFIER_ENGINE_H

#include "../dpf/darknet/adapter.h"

typedef struct classifier_engine classifier_engine;

/* Takes `batch` pictures a run. Fails with DPF_ERR_UNSUPPORTED where only Darknet can run the cfg.
 * On failure *out is NULL. */
dpf_status classifier_engine_open(classifier_engine **out, const char *cfg, const char *weights, int threads, int batch,
                                  const dn_info *info, dpf_error *err);
void classifier_engine_close(classifier_engine *engine); /* NULL is allowed */

/* The first `count` pictures of data, `count` <= batch; output: count * outputs floats, as dn_predict. */
dpf_status classifier_engine_run(classifier_engine *engine, const dn_data *data, size_t count, float *output,
                                 dpf_error *err);

#endif
