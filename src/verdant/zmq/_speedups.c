/* calls.py in C: one receive or send that meets nobody else.
 *
 * Place     zmq; calls.py takes it where it was built. Knows the flags that readiness.py keeps and
 *           pyzmq's own functions, which calls.py hands in; nothing of libzmq.
 * Promise   the same outcomes as the classes in calls.py. Whatever is not the plain case (other
 *           arguments, a flag that is down, another native thread, EAGAIN) goes to the method in
 *           Python that handles every case.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pythread.h>
#include <structmember.h>

typedef struct {
    PyObject_HEAD
    char may_receive;
    char may_send;
    char asked;
    long long ident;
    long left;
} Turns;

static PyTypeObject *turns_type;
static PyObject *raw_recv, *raw_send, *again, *no_block;
static PyObject *str_readiness, *str_settle, *str_recv_slowly, *str_send_slowly, *str_found_nothing,
    *str_send_again;

static PyMemberDef turns_members[] = {
    {"may_receive", T_BOOL, offsetof(Turns, may_receive), 0, NULL},
    {"may_send", T_BOOL, offsetof(Turns, may_send), 0, NULL},
    {"asked", T_BOOL, offsetof(Turns, asked), 0, NULL},
    {"ident", T_LONGLONG, offsetof(Turns, ident), 0, NULL},
    {"left", T_LONG, offsetof(Turns, left), 0, NULL},
    {NULL},
};

static void
turns_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot turns_slots[] = {
    {Py_tp_members, turns_members},
    {Py_tp_dealloc, turns_dealloc},
    {0, NULL},
};

static PyType_Spec turns_spec = {
    .name = "verdant.zmq._speedups.Turns",
    .basicsize = sizeof(Turns),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = turns_slots,
};

/* The socket's turns, a new reference; NULL with an error set. */
static Turns *
turns_of(PyObject *socket)
{
    PyObject *found = PyObject_GenericGetAttr(socket, str_readiness);
    if (found != NULL && !PyObject_TypeCheck(found, turns_type)) {
        Py_DECREF(found);
        PyErr_SetString(PyExc_TypeError, "a readiness of another kind");
        return NULL;
    }
    return (Turns *)found;
}

/* After a success: the turn goes on, or ends. Steals `result`, gives it back or NULL. */
static PyObject *
counted(Turns *turns, PyObject *result)
{
    if (--turns->left == 0) {
        PyObject *none = PyObject_CallMethodNoArgs((PyObject *)turns, str_settle);
        if (none == NULL) {
            Py_DECREF(result);
            return NULL;
        }
        Py_DECREF(none);
    }
    return result;
}

static PyObject *
slowly(PyObject *self, PyObject *name, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *method = PyObject_GenericGetAttr(self, name);
    if (method == NULL)
        return NULL;
    PyObject *result = PyObject_Vectorcall(method, args, count, names);
    Py_DECREF(method);
    return result;
}

static PyObject *
receive(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (count == 0 && names == NULL) {
        Turns *turns = turns_of(self);
        if (turns == NULL)
            return NULL;
        if (turns->may_receive && (long long)PyThread_get_thread_ident() == turns->ident) {
            PyObject *call[2] = {self, no_block};
            PyObject *message = PyObject_Vectorcall(raw_recv, call, 2, NULL);
            if (message != NULL)
                message = counted(turns, message);
            else if (PyErr_ExceptionMatches(again)) {
                PyErr_Clear();
                message = slowly(self, str_found_nothing, NULL, 0, NULL);
            }
            Py_DECREF(turns);
            return message;
        }
        Py_DECREF(turns);
    }
    return slowly(self, str_recv_slowly, args, count, names);
}

static PyObject *
send(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (count == 1 && names == NULL) {
        Turns *turns = turns_of(self);
        if (turns == NULL)
            return NULL;
        if (turns->may_send && (long long)PyThread_get_thread_ident() == turns->ident) {
            PyObject *call[3] = {self, args[0], no_block};
            PyObject *tracker = PyObject_Vectorcall(raw_send, call, 3, NULL);
            if (tracker != NULL) {
                turns->asked = 1;
                tracker = counted(turns, tracker);
            }
            else if (PyErr_ExceptionMatches(again)) {
                PyErr_Clear();
                tracker = slowly(self, str_send_again, args, 1, NULL);
            }
            Py_DECREF(turns);
            return tracker;
        }
        Py_DECREF(turns);
    }
    return slowly(self, str_send_slowly, args, count, names);
}

static PyMethodDef calls_methods[] = {
    {"recv", (PyCFunction)(void (*)(void))receive, METH_FASTCALL | METH_KEYWORDS,
     "As pyzmq's. Parks until there is a message."},
    {"send", (PyCFunction)(void (*)(void))send, METH_FASTCALL | METH_KEYWORDS,
     "As pyzmq's. Parks while the message cannot be queued."},
    {NULL},
};

static PyType_Slot calls_slots[] = {
    {Py_tp_methods, calls_methods},
    {0, NULL},
};

/* No fields, so that it goes before pyzmq's class among the bases of one. */
static PyType_Spec calls_spec = {
    .name = "verdant.zmq._speedups.Calls",
    .basicsize = sizeof(PyObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = calls_slots,
};

static PyObject *
use(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *recv_, *send_, *again_, *no_block_;
    if (!PyArg_ParseTuple(args, "OOOO", &recv_, &send_, &again_, &no_block_))
        return NULL;
    Py_XSETREF(raw_recv, Py_NewRef(recv_));
    Py_XSETREF(raw_send, Py_NewRef(send_));
    Py_XSETREF(again, Py_NewRef(again_));
    Py_XSETREF(no_block, Py_NewRef(no_block_));
    Py_RETURN_NONE;
}

static PyMethodDef module_methods[] = {
    {"use", use, METH_VARARGS, "use(recv, send, Again, NOBLOCK): pyzmq's own."},
    {NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "verdant.zmq._speedups",
    .m_doc = "zmq/calls.py in C.",
    .m_size = -1,
    .m_methods = module_methods,
};

PyMODINIT_FUNC
PyInit__speedups(void)
{
    str_readiness = PyUnicode_InternFromString("_readiness");
    str_settle = PyUnicode_InternFromString("settle");
    str_recv_slowly = PyUnicode_InternFromString("_recv_slowly");
    str_send_slowly = PyUnicode_InternFromString("_send_slowly");
    str_found_nothing = PyUnicode_InternFromString("_found_nothing");
    str_send_again = PyUnicode_InternFromString("_send_again");
    turns_type = (PyTypeObject *)PyType_FromSpec(&turns_spec);
    PyObject *calls = PyType_FromSpec(&calls_spec);
    PyObject *module = PyModule_Create(&module_definition);
    if (PyErr_Occurred() || PyModule_AddObjectRef(module, "Turns", (PyObject *)turns_type) < 0 ||
        PyModule_AddObject(module, "Calls", calls) < 0)
        return NULL;
    return module;
}
