#include "worker/agent/pmix.h"

#include <pmix.h>
#include <pmix_server.h>
#include <unistd.h>

#include <array>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <vector>

#include "common/base/check.h"
#include "common/base/log.h"

namespace tutti::agent {
namespace {

// The library takes plain function pointers and is one per process: so is this.
struct Callbacks {
  std::mutex mutex;
  std::function<void(std::string, std::uint32_t, int)> on_abort;  // guarded by mutex
};
Callbacks& TheCallbacks() {
  static Callbacks callbacks;
  return callbacks;
}

// A pmix_info_t array that grows.
class InfoList {
 public:
  InfoList() = default;
  InfoList(const InfoList&) = delete;
  InfoList& operator=(const InfoList&) = delete;
  ~InfoList() {
    for (pmix_info_t& info : infos_) PMIX_INFO_DESTRUCT(&info);
  }

  void Add(const char* key, const std::string& value) {
    PMIx_Info_load(&Next(), key, value.c_str(), PMIX_STRING);
  }
  void Add(const char* key, std::uint32_t value) {
    PMIx_Info_load(&Next(), key, &value, PMIX_UINT32);
  }
  void AddNumber16(const char* key, std::uint16_t value) {
    PMIx_Info_load(&Next(), key, &value, PMIX_UINT16);
  }
  void AddRank(const char* key, pmix_rank_t value) {
    PMIx_Info_load(&Next(), key, &value, PMIX_PROC_RANK);
  }
  void AddTrue(const char* key) {
    bool value = true;
    PMIx_Info_load(&Next(), key, &value, PMIX_BOOL);
  }
  void AddArray(const char* key, InfoList& list) {
    pmix_data_array_t array;
    array.type = PMIX_INFO;
    array.size = list.infos_.size();
    array.array = list.infos_.data();
    PMIx_Info_load(&Next(), key, &array, PMIX_DATA_ARRAY);  // copies
  }

  pmix_info_t* data() { return infos_.data(); }
  std::size_t size() const { return infos_.size(); }

 private:
  pmix_info_t& Next() {
    infos_.emplace_back();
    PMIX_INFO_CONSTRUCT(&infos_.back());
    return infos_.back();
  }

  std::vector<pmix_info_t> infos_;
};

Error PmixError(std::string_view what, pmix_status_t status) {
  return Error{.code = ErrorCode::kInternal,
               .message = std::string(what) + ": " + PMIx_Error_string(status)};
}

// Waits for a completion callback, at most kDeadline. Shared with the callback, which may come
// later.
class Completion {
 public:
  static void Done(pmix_status_t status, void* data) {
    const std::unique_ptr<std::shared_ptr<Completion>> self(
        static_cast<std::shared_ptr<Completion>*>(data));
    const std::lock_guard lock((*self)->mutex_);
    (*self)->status_ = status;
    (*self)->done_ = true;
    (*self)->changed_.notify_all();
  }

  template <typename Call>
  static pmix_status_t Of(Call call) {
    const auto self = std::make_shared<Completion>();
    auto* data = new std::shared_ptr<Completion>(self);
    const pmix_status_t started = call(&Completion::Done, static_cast<void*>(data));
    if (started != PMIX_SUCCESS) {
      delete data;  // no callback comes
      return started == PMIX_OPERATION_SUCCEEDED ? PMIX_SUCCESS : started;
    }
    std::unique_lock lock(self->mutex_);
    if (!self->changed_.wait_for(lock, PmixServer::kDeadline, [&] { return self->done_; })) {
      return PMIX_ERR_TIMEOUT;
    }
    return self->status_ == PMIX_OPERATION_SUCCEEDED ? PMIX_SUCCESS : self->status_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  pmix_status_t status_ = PMIX_SUCCESS;
};

pmix_status_t OnAbort(const pmix_proc_t* proc, void* /*server_object*/, int status,
                      const char /*message*/[], pmix_proc_t /*procs*/[], std::size_t /*count*/,
                      pmix_op_cbfunc_t done, void* data) {
  {
    Callbacks& callbacks = TheCallbacks();
    const std::lock_guard lock(callbacks.mutex);
    if (callbacks.on_abort) callbacks.on_abort(proc->nspace, proc->rank, status);
  }
  if (done != nullptr) done(PMIX_SUCCESS, data);
  return PMIX_SUCCESS;
}

// Every rank of the gang is here, so what its ranks contributed is all there is.
pmix_status_t OnFence(const pmix_proc_t /*procs*/[], std::size_t /*count*/,
                      const pmix_info_t /*info*/[], std::size_t /*info_count*/, char* data,
                      std::size_t size, pmix_modex_cbfunc_t done, void* done_data) {
  if (done != nullptr) done(PMIX_SUCCESS, data, size, done_data, nullptr, nullptr);
  return PMIX_SUCCESS;
}

// Asked only for ranks of another machine.
pmix_status_t OnDirectModex(const pmix_proc_t* /*proc*/, const pmix_info_t /*info*/[],
                            std::size_t /*count*/, pmix_modex_cbfunc_t /*done*/, void* /*data*/) {
  return PMIX_ERR_NOT_FOUND;
}

pmix_proc_t Proc(const std::string& gang, std::uint32_t rank) {
  pmix_proc_t proc;
  PMIX_PROC_CONSTRUCT(&proc);
  PMIX_LOAD_PROCID(&proc, gang.c_str(), rank);
  return proc;
}

std::string HostName() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

// "0,1,2,3"
std::string RankList(std::uint32_t size) {
  std::string list;
  for (std::uint32_t rank = 0; rank < size; ++rank) {
    if (rank > 0) list += ',';
    list += std::to_string(rank);
  }
  return list;
}

Status AddMaps(const std::string& host, std::uint32_t size, InfoList& infos) {
  char* text = nullptr;
  pmix_status_t status = PMIx_generate_regex(host.c_str(), &text);
  if (status != PMIX_SUCCESS) return Fail(PmixError("PMIx cannot describe the machines", status));
  infos.Add(PMIX_NODE_MAP, std::string(text));
  free(text);
  status = PMIx_generate_ppn(RankList(size).c_str(), &text);
  if (status != PMIX_SUCCESS) return Fail(PmixError("PMIx cannot describe the ranks", status));
  infos.Add(PMIX_PROC_MAP, std::string(text));
  free(text);
  return {};
}

}  // namespace

Result<std::unique_ptr<PmixServer>> PmixServer::Start(Options options) {
  // Components that need nothing outside the process; shared-memory ones leave files after a kill.
  setenv("PMIX_MCA_gds", "hash", 1);
  static pmix_server_module_t module{};
  module.abort = OnAbort;
  module.fence_nb = OnFence;
  module.direct_modex = OnDirectModex;
  {
    const std::lock_guard lock(TheCallbacks().mutex);
    TheCallbacks().on_abort = std::move(options.on_abort);
  }
  InfoList infos;
  infos.Add(PMIX_SERVER_TMPDIR, options.temp_dir.string());
  infos.Add(PMIX_SYSTEM_TMPDIR, options.temp_dir.string());
  const pmix_status_t status = PMIx_server_init(&module, infos.data(), infos.size());
  if (status != PMIX_SUCCESS) return Fail(PmixError("cannot start the PMIx server", status));
  return std::unique_ptr<PmixServer>(new PmixServer());
}

PmixServer::~PmixServer() {
  {
    const std::lock_guard lock(TheCallbacks().mutex);
    TheCallbacks().on_abort = nullptr;
  }
  PMIx_server_finalize();
}

Status PmixServer::Register(const PmixGang& gang) {
  TUTTI_CHECK(gang.size > 0, gang.name);
  if (gang.name.size() > PMIX_MAX_NSLEN) {
    return Fail(ErrorCode::kInvalid, "the gang's name is too long", gang.name);
  }
  const std::string host = HostName();
  InfoList infos;
  infos.Add(PMIX_JOBID, gang.name);
  infos.Add(PMIX_UNIV_SIZE, gang.size);
  infos.Add(PMIX_JOB_SIZE, gang.size);
  infos.Add(PMIX_LOCAL_SIZE, gang.size);
  infos.Add(PMIX_LOCAL_PEERS, RankList(gang.size));
  TUTTI_RETURN_IF_ERROR(AddMaps(host, gang.size, infos));
  infos.Add(PMIX_APPNUM, std::uint32_t{0});
  infos.Add(PMIX_JOB_NUM_APPS, std::uint32_t{1});
  infos.Add(PMIX_TMPDIR, gang.temp_dir.string());
  infos.AddTrue(PMIX_TDIR_RMCLEAN);
  for (std::uint32_t rank = 0; rank < gang.size; ++rank) {
    InfoList of_rank;
    of_rank.AddRank(PMIX_RANK, rank);
    of_rank.Add(PMIX_APPNUM, std::uint32_t{0});
    of_rank.Add(PMIX_NODEID, std::uint32_t{0});
    of_rank.AddNumber16(PMIX_LOCAL_RANK, static_cast<std::uint16_t>(rank));
    of_rank.AddNumber16(PMIX_NODE_RANK, static_cast<std::uint16_t>(rank));
    of_rank.Add(PMIX_HOSTNAME, host);
    infos.AddArray(PMIX_PROC_DATA, of_rank);
  }
  pmix_status_t status = Completion::Of([&](pmix_op_cbfunc_t done, void* data) {
    return PMIx_server_register_nspace(gang.name.c_str(), static_cast<int>(gang.size), infos.data(),
                                       infos.size(), done, data);
  });
  if (status != PMIX_SUCCESS) return Fail(PmixError("PMIx refuses the gang", status));
  for (std::uint32_t rank = 0; rank < gang.size; ++rank) {
    const pmix_proc_t proc = Proc(gang.name, rank);
    status = Completion::Of([&](pmix_op_cbfunc_t done, void* data) {
      return PMIx_server_register_client(&proc, gang.uid, gang.gid, nullptr, done, data);
    });
    if (status != PMIX_SUCCESS) {
      Deregister(gang.name);
      return Fail(PmixError("PMIx refuses a rank", status));
    }
  }
  return {};
}

Result<std::map<std::string, std::string>> PmixServer::Environment(const std::string& gang,
                                                                   std::uint32_t rank) const {
  const pmix_proc_t proc = Proc(gang, rank);
  char** variables = nullptr;
  const pmix_status_t status = PMIx_server_setup_fork(&proc, &variables);
  if (status != PMIX_SUCCESS) return Fail(PmixError("PMIx has no environment for a rank", status));
  std::map<std::string, std::string> environment;
  for (char** variable = variables; variable != nullptr && *variable != nullptr; ++variable) {
    if (const char* equals = std::strchr(*variable, '='); equals != nullptr) {
      environment.emplace(std::string(static_cast<const char*>(*variable), equals), equals + 1);
    }
    free(*variable);
  }
  free(variables);
  environment["PMIX_MCA_gds"] = "hash";  // start-up in 33 instead of 70 ms
  // Without the variable of a resource manager it knows, Open MPI 4.1 takes every rank for a
  // program of its own: world size 1, exit status 0.
  environment["FLUX_JOB_ID"] = gang;
  environment["OMPI_MCA_pml"] = "ob1";
  environment["OMPI_MCA_btl"] = "self,tcp";
  environment["OMPI_MCA_btl_tcp_if_include"] = "lo";
  environment["OMPI_MCA_mpi_yield_when_idle"] = "1";
  return environment;
}

void PmixServer::Deregister(const std::string& gang) {
  const pmix_status_t status = Completion::Of([&](pmix_op_cbfunc_t done, void* data) {
    PMIx_server_deregister_nspace(gang.c_str(), done, data);
    return PMIX_SUCCESS;
  });
  if (status != PMIX_SUCCESS) {
    Log(kWarning, "pmix_deregister_failed",
        {{"gang", gang}, {"status", PMIx_Error_string(status)}});
  }
}

}  // namespace tutti::agent
