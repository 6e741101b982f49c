// Shared by the parts of the C API: how an exception becomes a status.
#pragma once

#include <new>
#include <system_error>

#include "base/error.h"

namespace onebit {

// Fills `error` if it is not null, cutting texts that are too long, and returns `status`.
onebit_status report(onebit_status status, std::string_view message, std::string_view hint,
                     onebit_error* error) noexcept;

// Refuses an argument that a caller may not pass.
inline void expect(bool condition, const char* message) {
  if (!condition) throw Error(ONEBIT_INVALID_ARGUMENT, message);
}

// Runs `call`; every exception becomes a status.
template <class Call>
onebit_status guarded(onebit_error* error, const Call& call) noexcept {
  try {
    call();
    return report(ONEBIT_OK, "", "", error);
  } catch (const Error& problem) {
    return report(problem.status, problem.message, problem.hint, error);
  } catch (const std::bad_alloc&) {
    return report(ONEBIT_NO_MEMORY, "not enough memory", "use a smaller batch or a smaller model", error);
  } catch (const std::system_error& problem) {
    return report(ONEBIT_IO, problem.what(), "use fewer threads", error);
  } catch (const std::exception& problem) {
    return report(ONEBIT_INTERNAL, problem.what(), "this is a fault of onebit", error);
  } catch (...) {
    return report(ONEBIT_INTERNAL, "unknown exception", "this is a fault of onebit", error);
  }
}

}  // namespace onebit
