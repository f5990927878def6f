// Small problems, whose calls cost more than their arithmetic: guards, memory, kernel and node of the graph in one call
// from Python. For one minor version of torch, and every Python (its stable ABI).
//
// cross_entropy takes float32 or bfloat16 logits (N, C) and int64 labels (N); log_softmax and binary losses any shape, and float16 too. What is
// not plain, on a CPU, with nobody watching, gives None: the caller goes the long way. So does what is wrong, which the long
// way says better.
#define Py_LIMITED_API 0x030a0000
#include <Python.h>

#include <numeric>

#include <ATen/EmptyTensor.h>
#include <ATen/SavedTensorHooks.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/forward_grad.h>
#include <torch/csrc/autograd/graph_task.h>

extern "C" {
#include "job.h"
}

// Tensors in Python, as libtorch_python has them. (Its header is for one version of Python, and doubles the compilation.)
// `address` shows that the tensor is where it is believed to be, which is tested before anything is computed.
struct THPVariable {
  PyObject_HEAD
  at::Tensor tensor;
};
extern PyObject *THPVariableClass, *ParameterClass;
PyObject *THPVariable_Wrap(const at::TensorBase &);
static const at::Tensor &unwrapped(PyObject *x) { return reinterpret_cast<THPVariable *>(x)->tensor; }

namespace {

decltype(&crossentropy_run) run;
decltype(job::parallel) parallel;
int32_t isa;
PyObject *differentiable, *differentiable_log_softmax, *differentiable_binary;

enum Reduction { NONE, MEAN, SUM };
const char *const NAMES[] = {"none", "mean", "sum"};

struct Question {
  int64_t ignore_index, reduction, counted;
};

// --- guards --------------------------------------------------------------------------------------------------------

// Neither subclasses, transforms, modes, tracers and autocast, nor hooks on what is saved, nor forward mode.
bool unwatched() {
  const auto keys = c10::impl::tls_local_dispatch_key_set();
  return keys.included_ == c10::default_included_set && keys.excluded_ == c10::default_excluded_set &&
      !at::SavedTensorDefaultHooks::get_hooks() && !torch::autograd::ForwardADLevel::try_get_by_idx(0);
}

bool usual(const at::Tensor &x) {
  using K = c10::DispatchKey;
  constexpr c10::DispatchKeySet keys({K::CPU, K::ADInplaceOrView, K::AutogradCPU, K::AutocastCPU});
  return x.key_set() == keys;
}

bool plain(const at::Tensor &x) { return usual(x) && x.is_contiguous(); }

bool small(const at::Tensor &z, const at::Tensor &y, int64_t most) {
  return unwatched() && plain(z) && plain(y) && (z.scalar_type() == at::kFloat || z.scalar_type() == at::kBFloat16) &&
      y.scalar_type() == at::kLong && z.dim() == 2 && y.dim() == 1 && y.size(0) == z.size(0) && z.numel() > 0 &&
      z.numel() <= most;
}

// How many labels count; −1 if one is no class.
int64_t counted(const at::Tensor &y, int64_t classes, int64_t ignore_index) {
  const int64_t *label = y.const_data_ptr<int64_t>(), *end = label + y.numel();
  int64_t n = 0;
  for (; label < end; label++)
    if (*label != ignore_index) {
      if (*label < 0 || *label >= classes) return -1;
      n++;
    }
  return n;
}

// --- loss and gradient ---------------------------------------------------------------------------------------------

at::Tensor empty(at::IntArrayRef shape, at::ScalarType dtype) { return at::Tensor(at::detail::empty_cpu(shape, dtype)); }

// The loss, and the gradient if there is room for it.
at::Tensor loss(const at::Tensor &z, const at::Tensor &y, const Question &q, const at::Tensor &gradient) {
  const int64_t rows = z.size(0), classes = z.size(1);
  const float coefficient = q.reduction == MEAN ? 1.f / static_cast<float>(q.counted) : 1.f;
  const bool summed = q.reduction != NONE;
  c10::SmallVector<float, 256> terms(summed ? rows : 0);
  at::Tensor result = empty(summed ? at::IntArrayRef() : at::IntArrayRef(&rows, 1), at::kFloat);
  job p{};
  p.task = COMPLETE, p.dtype = z.scalar_type() == at::kFloat ? FLOAT32 : BFLOAT16, p.isa = isa, p.parallel = parallel;
  p.outer = rows, p.inner = p.across = p.gradient_across = 1, p.classes = p.row = p.gradient_row = classes;
  p.logits = z.const_data_ptr(), p.label = y.const_data_ptr<int64_t>(), p.ignore_index = q.ignore_index;
  p.coefficient = &coefficient, p.inner_scale = p.outer_scale = p.on_label = 1;
  p.loss = summed ? terms.data() : result.mutable_data_ptr<float>();
  if (gradient.defined()) p.gradient = gradient.mutable_data_ptr();
  if (run(&p)) throw std::bad_alloc();
  if (summed) {
    const double sum = std::accumulate(terms.begin(), terms.end(), 0.), divisor = static_cast<double>(q.counted);
    *result.mutable_data_ptr<float>() = static_cast<float>(q.reduction == MEAN ? sum / divisor : sum);
  }
  return z.scalar_type() == at::kFloat ? result : result.to(z.scalar_type());
}

struct Holding {  // the interpreter, in threads of autograd
  PyGILState_STATE state = PyGILState_Ensure();
  ~Holding() { PyGILState_Release(state); }
};

// What Python has returned; or its error.
at::Tensor taken(PyObject *found) {
  if (!found) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyObject *text = PyObject_Str(value);
    const char *said = text ? PyUnicode_AsUTF8AndSize(text, nullptr) : nullptr;
    const std::string message = said ? said : "the gradient cannot be differentiated";
    for (PyObject *x : {type, value, trace, text}) Py_DecRef(x);
    throw std::runtime_error(message);
  }
  at::Tensor gradient = unwrapped(found);
  Py_DecRef(found);
  return gradient;
}

// The gradient as a function of logits and upstream, from Python.
at::Tensor differentiably(const at::Tensor &z, const at::Tensor &y, int64_t ignore_index, int64_t reduction, const at::Tensor &upstream) {
  Holding interpreter;
  return taken(PyObject_CallFunction(
      differentiable, "NNLsN", THPVariable_Wrap(z), THPVariable_Wrap(y), static_cast<long long>(ignore_index),
      NAMES[reduction], THPVariable_Wrap(upstream)));
}

}  // namespace

// A name of its own, which graphs show.
struct SmallCrossEntropy : torch::autograd::Function<SmallCrossEntropy> {
  static at::Tensor forward(
      torch::autograd::AutogradContext *ctx, const at::Tensor &z, const at::Tensor &y, const Question &q) {
    at::Tensor gradient = empty(z.sizes(), z.scalar_type()), result = loss(z, y, q, gradient);
    ctx->save_for_backward({z, y});
    ctx->saved_data["gradient"] = std::move(gradient);
    ctx->saved_data["ignore_index"] = q.ignore_index;
    ctx->saved_data["reduction"] = q.reduction;
    return result;
  }

  // Where the graph is freed the gradient is scaled in place: no one else will see it. What autograd saved is not touched,
  // so the logits may have been changed since; a second call finds nothing, looks for it, and so raises as usual.
  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext *ctx, const torch::autograd::variable_list &upstreams) {
    const int64_t reduction = ctx->saved_data["reduction"].toInt();
    const at::Tensor &upstream = upstreams[0];
    at::IValue &ready = ctx->saved_data["gradient"];
    if (c10::GradMode::is_enabled() || ready.isNone()) {
      const auto saved = ctx->get_saved_variables();
      return {differentiably(saved[0], saved[1], ctx->saved_data["ignore_index"].toInt(), reduction, upstream), {}, {}};
    }
    const bool kept = torch::autograd::get_current_graph_task_keep_graph(), ours = !kept && plain(upstream);
    at::Tensor result = kept ? ready.toTensor() : std::exchange(ready, at::IValue()).toTensor();
    if (reduction == NONE) {
      const at::Tensor by = upstream.unsqueeze(1);
      result = ours ? result.mul_(by) : result.mul(by);
      result.masked_fill_(by.eq(0), 0);  // rows that are left out, whatever they are
    } else if (!ours) {
      result = result.mul(upstream);
    } else if (upstream.scalar_type() != at::kFloat || *upstream.const_data_ptr<float>() != 1) {
      result.mul_(upstream);
    }
    return {result, {}, {}};
  }
};

// --- log_softmax ---------------------------------------------------------------------------------------------------

namespace {

bool small(const at::Tensor &z, int64_t dim, int64_t most) {
  const auto dtype = z.scalar_type();
  return unwatched() && usual(z) && (dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf) && dim >= 0 &&
      dim < z.dim() && z.numel() > 0 && z.numel() <= most;
}

// A task on contiguous tensors of one shape; `rows` are the maximum and the normaliser of each row, where they are wanted.
void run_on(
    task what, int64_t dim, const at::Tensor &x, const at::Tensor &out, const at::Tensor &rows, const void *upstream) {
  job p{};
  p.task = what, p.isa = isa, p.parallel = parallel;
  p.dtype = x.scalar_type() == at::kFloat ? FLOAT32 : x.scalar_type() == at::kHalf ? FLOAT16 : BFLOAT16;
  p.outer = p.inner = 1, p.classes = x.size(dim);
  for (int64_t d = 0; d < x.dim(); d++)
    if (d != dim) (d < dim ? p.outer : p.inner) *= x.size(d);
  p.row = p.gradient_row = p.classes * p.inner, p.across = p.gradient_across = p.inner;
  p.logits = x.const_data_ptr(), p.gradient = out.mutable_data_ptr(), p.upstream = upstream;
  if (rows.defined()) p.maximum = rows.mutable_data_ptr<float>(), p.normaliser = p.maximum + p.outer * p.inner;
  if (run(&p)) throw std::bad_alloc();
}

at::Tensor log_probabilities(const at::Tensor &z, int64_t dim, const at::Tensor &rows) {
  const at::Tensor x = z.contiguous(), out = empty(x.sizes(), x.scalar_type());
  run_on(NORMALISE, dim, x, out, rows, nullptr);
  return out;
}

}  // namespace

// float32 keeps the result; half precision, which rounds it too much for a gradient, the logits and two numbers of each row.
struct SmallLogSoftmax : torch::autograd::Function<SmallLogSoftmax> {
  static at::Tensor forward(torch::autograd::AutogradContext *ctx, const at::Tensor &z, int64_t dim) {
    at::Tensor rows;
    if (z.scalar_type() != at::kFloat) rows = empty({2, z.numel() / z.size(dim)}, at::kFloat);
    const at::Tensor result = log_probabilities(z, dim, rows);
    ctx->save_for_backward({rows.defined() ? z : result, rows});
    ctx->saved_data["dim"] = dim;
    return result;
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext *ctx, const torch::autograd::variable_list &upstreams) {
    const auto saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &upstream = upstreams[0];
    const int64_t dim = ctx->saved_data["dim"].toInt();
    if (c10::GradMode::is_enabled() || !unwatched() || !usual(upstream)) {
      Holding interpreter;
      return {taken(PyObject_CallFunction(
                  differentiable_log_softmax, "NNL", THPVariable_Wrap(x), THPVariable_Wrap(upstream), static_cast<long long>(dim))),
              {}};
    }
    const at::Tensor g = upstream.contiguous(), result = empty(x.sizes(), x.scalar_type());
    run_on(PROJECT, dim, x.contiguous(), result, saved[1], g.const_data_ptr());
    return {result, {}};
  }
};

// --- binary losses -------------------------------------------------------------------------------------------------

namespace {

constexpr int64_t BLOCK = 1024;

struct Elements {
  at::Tensor z, y, weight, pos_weight;  // plain; the weights, if they are defined, float32
};

bool half_or_float(at::ScalarType dtype) { return dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf; }

bool fits(const at::Tensor &w, const at::Tensor &z) {
  const bool each = w.sizes() == z.sizes(), last = w.dim() > 0 && z.dim() >= w.dim() && w.numel() == w.size(-1) && w.size(-1) == z.size(-1);
  return plain(w) && !w.requires_grad() && w.scalar_type() == at::kFloat && (each || last || (w.numel() == 1 && w.dim() <= z.dim()));
}

bool fit(const Elements &x) {
  const auto dtype = x.z.scalar_type();
  return unwatched() && plain(x.z) && half_or_float(dtype) && x.z.numel() > 0 && plain(x.y) && !x.y.requires_grad() &&
      (x.y.scalar_type() == at::kFloat || x.y.scalar_type() == dtype) && x.y.sizes() == x.z.sizes() &&
      (!x.weight.defined() || fits(x.weight, x.z)) && (!x.pos_weight.defined() || fits(x.pos_weight, x.z));
}

// Where a weight begins, and its entries from block to block. One number is repeated for a block.
const float *weigh(at::Tensor &w, const at::Tensor &z, int64_t block, int64_t &step) {
  step = w.sizes() == z.sizes() ? block : 0;
  if (!step && w.numel() == 1) w = w.reshape(1).expand(block).contiguous();
  return w.const_data_ptr<float>();
}

int32_t dtype_of(at::ScalarType dtype) { return dtype == at::kFloat ? FLOAT32 : dtype == at::kHalf ? FLOAT16 : BFLOAT16; }

// A job of binary losses, but for where its results go. The tensors are kept by the caller.
job asked(Elements &x) {
  const auto of_last = [&](const at::Tensor &w) { return w.defined() && w.numel() != 1 && w.sizes() != x.z.sizes(); };
  job p{};
  p.task = BINARY, p.dtype = dtype_of(x.z.scalar_type()), p.target_dtype = dtype_of(x.y.scalar_type()), p.isa = isa, p.parallel = parallel;
  p.row = x.z.numel(), p.classes = of_last(x.weight) || of_last(x.pos_weight) ? x.z.size(-1) : BLOCK;
  p.outer = (p.row + p.classes - 1) / p.classes, p.inner = 1;
  p.logits = x.z.const_data_ptr(), p.target = x.y.const_data_ptr();
  if (x.weight.defined()) p.weight = weigh(x.weight, x.z, p.classes, p.weight_row);
  if (x.pos_weight.defined()) p.pos_weight = weigh(x.pos_weight, x.z, p.classes, p.pos_weight_row);
  return p;
}

at::Tensor losses(Elements x, int64_t reduction) {
  job p = asked(x);
  at::Tensor result = empty(reduction == NONE ? x.z.sizes() : at::IntArrayRef(), at::kFloat);
  c10::SmallVector<float, 256> sums(reduction == NONE ? 0 : p.outer);
  if (reduction == NONE) p.loss = result.mutable_data_ptr<float>();
  else p.mass = sums.data();
  if (run(&p)) throw std::bad_alloc();
  if (reduction != NONE) {
    const double sum = std::accumulate(sums.begin(), sums.end(), 0.);
    *result.mutable_data_ptr<float>() = static_cast<float>(reduction == MEAN ? sum / static_cast<double>(p.row) : sum);
  }
  return x.y.scalar_type() == at::kFloat ? result : result.to(x.z.scalar_type());
}

at::Tensor slopes(Elements x, int64_t reduction, const at::Tensor &upstream) {
  const at::Tensor g = upstream.to(at::kFloat).contiguous(), result = empty(x.z.sizes(), x.z.scalar_type());
  job p = asked(x);
  p.gradient = result.mutable_data_ptr(), p.coefficient = g.const_data_ptr<float>(), p.coefficient_step = reduction == NONE;
  p.outer_scale = reduction == MEAN ? 1.f / static_cast<float>(p.row) : 1.f;
  if (run(&p)) throw std::bad_alloc();
  return result;
}

}  // namespace

struct SmallBinaryCrossEntropy : torch::autograd::Function<SmallBinaryCrossEntropy> {
  static at::Tensor forward(
      torch::autograd::AutogradContext *ctx, const at::Tensor &z, const Elements &x, int64_t reduction) {
    ctx->save_for_backward({z, x.y, x.weight, x.pos_weight});
    ctx->saved_data["reduction"] = reduction;
    return losses(x, reduction);
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext *ctx, const torch::autograd::variable_list &upstreams) {
    const auto saved = ctx->get_saved_variables();
    const at::Tensor &upstream = upstreams[0];
    const int64_t reduction = ctx->saved_data["reduction"].toInt();
    if (c10::GradMode::is_enabled() || !unwatched() || !usual(upstream)) {
      Holding interpreter;
      return {taken(PyObject_CallFunction(
                  differentiable_binary, "NNNNsN", THPVariable_Wrap(saved[0]), THPVariable_Wrap(saved[1]),
                  THPVariable_Wrap(saved[2]), THPVariable_Wrap(saved[3]), NAMES[reduction], THPVariable_Wrap(upstream))),
              {}, {}};
    }
    return {slopes({saved[0], saved[1], saved[2], saved[3]}, reduction, upstream), {}, {}};
  }
};

namespace {

// --- Python --------------------------------------------------------------------------------------------------------

struct Released {  // the interpreter, for others, while we compute
  PyThreadState *state = PyEval_SaveThread();
  ~Released() { PyEval_RestoreThread(state); }
};

at::Tensor computed(const at::Tensor &z, const at::Tensor &y, Question q, int64_t most) {
  if (!small(z, y, most)) return {};
  Released interpreter;
  q.counted = counted(y, z.size(1), q.ignore_index);
  if (q.counted < 0) return {};
  return z.requires_grad() && c10::GradMode::is_enabled() ? SmallCrossEntropy::apply(z, y, q) : loss(z, y, q, {});
}

bool is_tensor(PyObject *x) { return Py_TYPE(x) == reinterpret_cast<PyTypeObject *>(THPVariableClass); }
bool is_parameter(PyObject *x) { return Py_TYPE(x) == reinterpret_cast<PyTypeObject *>(ParameterClass); }

int64_t code(PyObject *reduction) {
  int64_t found = NONE;
  while (found <= SUM && PyUnicode_CompareWithASCIIString(reduction, NAMES[found])) found++;
  return found;
}

// cross_entropy(input, target, ignore_index, reduction, most logits)
PyObject *cross_entropy(PyObject *, PyObject *const *a, Py_ssize_t n) {
  if (n == 5 && (is_tensor(a[0]) || is_parameter(a[0])) && is_tensor(a[1]) && PyLong_CheckExact(a[2]) && PyUnicode_CheckExact(a[3])) {
    const int64_t reduction = code(a[3]);
    const long long ignore_index = PyLong_AsLongLong(a[2]), most = PyLong_AsLongLong(a[4]);
    if (reduction <= SUM && !PyErr_Occurred()) {
      try {
        const at::Tensor result = computed(unwrapped(a[0]), unwrapped(a[1]), {ignore_index, reduction, 0}, most);
        if (result.defined()) return THPVariable_Wrap(result);
      } catch (const std::exception &) {  // no memory, say
      }
    }
    PyErr_Clear();
  }
  Py_RETURN_NONE;
}

at::Tensor computed(const at::Tensor &z, int64_t dim, int64_t most) {
  if (dim < 0) dim += z.dim();
  if (!small(z, dim, most)) return {};
  Released interpreter;
  return z.requires_grad() && c10::GradMode::is_enabled() ? SmallLogSoftmax::apply(z, dim) : log_probabilities(z, dim, {});
}

// log_softmax(input, dim, most logits)
PyObject *log_softmax(PyObject *, PyObject *const *a, Py_ssize_t n) {
  if (n == 3 && (is_tensor(a[0]) || is_parameter(a[0])) && PyLong_CheckExact(a[1])) {
    const long long dim = PyLong_AsLongLong(a[1]), most = PyLong_AsLongLong(a[2]);
    if (!PyErr_Occurred()) {
      try {
        const at::Tensor result = computed(unwrapped(a[0]), dim, most);
        if (result.defined()) return THPVariable_Wrap(result);
      } catch (const std::exception &) {  // no memory, say
      }
    }
    PyErr_Clear();
  }
  Py_RETURN_NONE;
}

at::Tensor computed(Elements x, int64_t reduction) {
  if (x.y.defined() && at::isIntegralType(x.y.scalar_type(), true) && usual(x.y) && unwatched()) x.y = x.y.to(x.z.scalar_type());
  if (!fit(x)) return {};
  Released interpreter;
  return x.z.requires_grad() && c10::GradMode::is_enabled()
      ? SmallBinaryCrossEntropy::apply(x.z, x, reduction)
      : losses(x, reduction);
}

// binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction)
PyObject *binary(PyObject *, PyObject *const *a, Py_ssize_t n) {
  const auto is_weight = [](PyObject *x) { return x == Py_None || is_tensor(x); };
  if (n == 5 && (is_tensor(a[0]) || is_parameter(a[0])) && is_tensor(a[1]) && is_weight(a[2]) && is_weight(a[3]) && PyUnicode_CheckExact(a[4])) {
    const int64_t reduction = code(a[4]);
    const auto given = [](PyObject *x) { return x == Py_None ? at::Tensor() : unwrapped(x); };
    if (reduction <= SUM) {
      try {
        const at::Tensor result = computed({unwrapped(a[0]), unwrapped(a[1]), given(a[2]), given(a[3])}, reduction);
        if (result.defined()) return THPVariable_Wrap(result);
      } catch (const std::exception &) {  // no memory, say
      }
    }
    PyErr_Clear();
  }
  Py_RETURN_NONE;
}

PyObject *address(PyObject *, PyObject *x) { return PyLong_FromVoidPtr(unwrapped(x).unsafeGetTensorImpl()); }

// prepare(address of crossentropy_run, that of torch_parallel_for, instruction set, version, what is called for derivatives of the three)
PyObject *prepare(PyObject *, PyObject *arguments) {
  unsigned long long of_run, of_parallel;
  int set, version;
  PyObject *of_loss, *of_log_softmax, *of_binary;
  if (!PyArg_ParseTuple(arguments, "KKiiOOO", &of_run, &of_parallel, &set, &version, &of_loss, &of_log_softmax, &of_binary)) return nullptr;
  if (version != VERSION) return PyErr_SetString(PyExc_TypeError, "another version"), nullptr;
  isa = set, differentiable = of_loss, differentiable_log_softmax = of_log_softmax, differentiable_binary = of_binary;
  run = reinterpret_cast<decltype(run)>(of_run), parallel = reinterpret_cast<decltype(parallel)>(of_parallel);
  Py_IncRef(differentiable), Py_IncRef(differentiable_log_softmax), Py_IncRef(differentiable_binary);
  Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    {"cross_entropy", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(cross_entropy)), METH_FASTCALL, nullptr},
    {"log_softmax", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(log_softmax)), METH_FASTCALL, nullptr},
    {"binary", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(binary)), METH_FASTCALL, nullptr},
    {"address", address, METH_O, nullptr},
    {"prepare", prepare, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};
PyModuleDef module = {PyModuleDef_HEAD_INIT, "small", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_small() { return PyModule_Create(&module); }
