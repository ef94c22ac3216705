// A BLAS that is found before the real one (LD_PRELOAD): no OpenBLAS, or with TUTTI_PTHREADS one
// that says it is built on threads of its own.
extern "C" void sgemm_() {}

#ifdef TUTTI_PTHREADS
extern "C" const char* openblas_get_config() { return "OpenBLAS of a test"; }
extern "C" int openblas_get_parallel() { return 1; }
#endif
