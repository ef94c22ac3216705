// Asio's own TLS code, compiled once here (BOOST_ASIO_SEPARATE_COMPILATION is set for all who use
// this folder). Whoever uses stream.h brings Asio itself, as an asio_beast.cc does.
#include <boost/asio/ssl/impl/src.hpp>
