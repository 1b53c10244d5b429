/* What the files of the accelerator know of each other. */

#ifndef VERDANT_SPEEDUPS_H
#define VERDANT_SPEEDUPS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* _speedups_chunks.c */
PyObject *keep_chunks(PyObject *module, PyObject *none);

#endif
