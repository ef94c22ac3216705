execute_process(COMMAND git -C "${SOURCE}" describe --always --abbrev=12 --dirty=+ --exclude=*
  OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT revision)
  set(revision "unknown")
endif()
file(CONFIGURE OUTPUT "${OUT}" CONTENT
"#include \"common/version/version.h\"

namespace tutti {

std::string_view Version() { return \"${VERSION}\"; }
std::string_view Revision() { return \"${revision}\"; }

}  // namespace tutti
")
