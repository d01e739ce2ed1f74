// BANTAM_CHECK: our own contracts, always on. No input may ever reach one: untrusted bytes meet Result instead.
#pragma once

#include <cstdio>
#include <cstdlib>

#define BANTAM_CHECK(cond)                                                                       \
  do {                                                                                           \
    if (!(cond)) [[unlikely]] {                                                                  \
      std::fprintf(stderr, "bantam: broken contract at %s:%d: %s\n", __FILE__, __LINE__, #cond); \
      std::abort();                                                                              \
    }                                                                                            \
  } while (false)
