/* SPDX-License-Identifier: MIT
 *
 * See classifier.h: what its commands share.
 */
#include "classifier.h"

#include <stdlib.h>

dpf_status classifier_labels(lines *out, const datafile *data, const char *path, const char *what, dpf_error *err) {
    lines list;
    dpf_status status = lines_read(&list, path, what, err);
    if (status)
        return status;
    const size_t classes = (size_t)data->classes;
    /* more lines than classes are in use: the stock ImageNet list has 21842 for 1000 classes */
    if (list.count < classes)
        status = dpf_fail(err, DPF_ERR_MISMATCH,
                          "%s: has %zu lines, but 'classes' of '%s' is %zu; one line a class is wanted", path,
                          list.count, data->path, classes);
    for (size_t i = 0; i < classes && !status; i++)
        if (!list.line[i][0])
            status = dpf_fail(err, DPF_ERR_FORMAT, "%s:%zu: an empty line in a %s, the name of class %zu is wanted",
                              path, i + 1, what, i);
    if (status) {
        lines_free(&list);
        return status;
    }
    *out = list;
    return DPF_OK;
}

dpf_status classifier_valid_list(imagelist **list, int **class_of, const datafile *data, const lines *labels,
                                 dpf_error *err) {
    dpf_status status = imagelist_open(list, data->valid, "validation list", err);
    if (status)
        return status;
    *class_of = calloc(imagelist_count(*list), sizeof **class_of);
    if (!*class_of)
        return dpf_fail_memory(err, imagelist_count(*list) * sizeof **class_of, "the classes of the validation list");
    return imagelist_match(*list, labels, data->classes, *class_of, err);
}

dpf_status classifier_fits(const datafile *data, const char *cfg, const dn_info *info, dpf_error *err) {
    if (info->outputs == data->classes)
        return DPF_OK;
    return dpf_fail(err, DPF_ERR_MISMATCH,
                    "'%s' has %d outputs, but 'classes' of '%s' is %d; they must be equal (set filters= or output= of "
                    "the last layer before the softmax)",
                    cfg, info->outputs, data->path, data->classes);
}
