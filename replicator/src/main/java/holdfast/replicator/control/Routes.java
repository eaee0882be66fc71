package holdfast.replicator.control;

import holdfast.replicator.json.Json;
import holdfast.replicator.json.JsonException;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/// From a request to a method of the [ControlApi] and back. The paths are listed in
/// `docs/control.md`.
final class Routes {
    private static final Logger LOG = LoggerFactory.getLogger(Routes.class);

    record Request(String method, String target, String body) {}

    sealed interface Outcome {}

    record Reply(int status, String json) implements Outcome {}

    /// Lines that come one after the other, each a JSON object.
    non-sealed interface Stream extends Outcome {
        void run(LineSink sink) throws IOException, ProblemException, InterruptedException;
    }

    @FunctionalInterface
    interface LineSink {
        void line(String json) throws IOException;
    }

    private interface Call<Q> {
        Record on(Q request) throws ProblemException;
    }

    /// @param target what the audit says it was about; absent: the request only reads
    private record Post<Q extends Record>(
            Class<Q> type, Call<Q> call, Optional<Function<Q, String>> target) {}

    private final String host;
    private final ControlApi api;
    private final Audit audit;
    private final Map<String, Post<?>> posts = new LinkedHashMap<>();

    Routes(String host, ControlApi api, Audit audit) {
        this.host = host;
        this.api = api;
        this.audit = audit;
        change("invite", ControlApi.InviteRequest.class, api::invite, q -> q.address().orElse(""));
        change("join", ControlApi.JoinRequest.class, api::join, _ -> "");
        change(
                "storage",
                ControlApi.StorageRequest.class,
                api::storage,
                ControlApi.StorageRequest::path);
        change("add", ControlApi.AddRequest.class, api::add, ControlApi.AddRequest::name);
        change(
                "permit",
                ControlApi.PermitRequest.class,
                api::permit,
                ControlApi.PermitRequest::name);
        change("attach", ControlApi.NameRequest.class, api::attach, ControlApi.NameRequest::name);
        change("detach", ControlApi.NameRequest.class, api::detach, ControlApi.NameRequest::name);
        change("open", ControlApi.OpenRequest.class, api::open, ControlApi.OpenRequest::name);
        change("close", ControlApi.CloseRequest.class, api::closeView, ControlApi.CloseRequest::id);
        change(
                "promote",
                ControlApi.PromoteRequest.class,
                api::promote,
                ControlApi.PromoteRequest::name);
        change(
                "reconnect",
                ControlApi.ReconnectRequest.class,
                api::reconnect,
                ControlApi.ReconnectRequest::name);
        posts.put(
                "points", new Post<>(ControlApi.NameRequest.class, api::points, Optional.empty()));
        change("mark", ControlApi.MarkRequest.class, api::mark, ControlApi.MarkRequest::name);
        change("keep", ControlApi.KeepRequest.class, api::keep, ControlApi.KeepRequest::name);
        change("drop", ControlApi.DropRequest.class, api::drop, ControlApi.DropRequest::name);
        change(
                "remove",
                ControlApi.RemoveRequest.class,
                api::remove,
                ControlApi.RemoveRequest::name);
        change(
                "settle",
                ControlApi.SettleRequest.class,
                api::settle,
                ControlApi.SettleRequest::name);
        change("adjust", ControlApi.AdjustRequest.class, api::adjust, _ -> "");
        change("connect", ControlApi.LinkRequest.class, api::connect, q -> q.name().orElse(""));
        change(
                "disconnect",
                ControlApi.LinkRequest.class,
                api::disconnect,
                q -> q.name().orElse(""));
        order("pause-sync", api::pauseSync);
        order("resume-sync", api::resumeSync);
        order("invalidate", api::invalidate);
        order("invalidate-remote", api::invalidateRemote);
        change(
                "verify",
                ControlApi.VerifyRequest.class,
                api::verify,
                ControlApi.VerifyRequest::name);
        change("mend", ControlApi.MendRequest.class, api::mend, ControlApi.MendRequest::name);
        order("resize", api::resize);
        change("shutdown", Nothing.class, _ -> api.shutdown(), _ -> "");
    }

    private record Nothing() {}

    private <Q extends Record> void change(
            String verb, Class<Q> type, Call<Q> call, Function<Q, String> target) {
        posts.put(verb, new Post<>(type, call, Optional.of(target)));
    }

    private void order(String verb, Call<ControlApi.NameRequest> call) {
        change(verb, ControlApi.NameRequest.class, call, ControlApi.NameRequest::name);
    }

    Problem problem(ExitCode code, String cause) {
        return Problem.of(code, host, cause);
    }

    Outcome handle(Request request, String user) throws HttpException {
        String path = request.target();
        String query = "";
        int mark = path.indexOf('?');
        if (mark >= 0) {
            query = path.substring(mark + 1);
            path = path.substring(0, mark);
        }
        if (!path.startsWith("/v1/")) {
            throw new HttpException(404, "no such path; they begin with /v1/");
        }
        String verb = path.substring("/v1/".length());
        boolean isGet = request.method().equals("GET");
        if (!isGet && !request.method().equals("POST")) {
            throw new HttpException(405, "only GET and POST");
        }
        return switch (verb) {
            case "status" -> get(isGet, api::status);
            case "peers" -> get(isGet, api::peers);
            case "events" -> {
                requireMethod(isGet, "GET");
                ControlApi.EventsRequest events = eventsRequest(query);
                yield (Stream) sink -> api.events(events, new EventLines(sink));
            }
            case "wait" -> {
                requireMethod(!isGet, "POST");
                var wait = read(request.body(), ControlApi.WaitRequest.class);
                yield (Stream)
                        sink ->
                                sink.line(
                                        Json.write(
                                                api.waitFor(
                                                        wait,
                                                        progress ->
                                                                line(sink, Json.write(progress)))));
            }
            default -> {
                Post<?> post = posts.get(verb);
                if (post == null) {
                    throw new HttpException(404, "no such path");
                }
                requireMethod(!isGet, "POST");
                yield post(verb, post, request.body(), user);
            }
        };
    }

    private interface Read {
        Record ask() throws ProblemException;
    }

    private Outcome get(boolean isGet, Read read) throws HttpException {
        requireMethod(isGet, "GET");
        try {
            return new Reply(200, Json.write(read.ask()));
        } catch (ProblemException e) {
            return refusal(e.problem());
        } catch (RuntimeException e) {
            return broken(e);
        }
    }

    private <Q extends Record> Outcome post(String verb, Post<Q> post, String body, String user)
            throws HttpException {
        Q request = read(body, post.type());
        ExitCode code = ExitCode.FAILED;
        try {
            Record reply = post.call().on(request);
            code = ExitCode.DONE;
            return new Reply(200, Json.write(reply));
        } catch (ProblemException e) {
            code = ExitCode.of(e.problem().exitCode());
            return refusal(e.problem());
        } catch (RuntimeException e) {
            return broken(e);
        } finally {
            if (post.target().isPresent()) {
                audit(user, verb, post.target().get().apply(request), code);
            }
        }
    }

    private void audit(String user, String verb, String target, ExitCode code) {
        try {
            audit.record(new Audit.Entry(Instant.now(), user, verb, target, code.number()));
        } catch (RuntimeException e) {
            // The change has happened; to fail it now would be a lie. The log has it at least.
            LOG.error(
                    "the audit log cannot be written: {} {} by {} ended with {}",
                    verb,
                    target,
                    user,
                    code,
                    e);
        }
    }

    private static Reply refusal(Problem problem) {
        return new Reply(ExitCode.of(problem.exitCode()).httpStatus(), Json.write(problem));
    }

    private Reply broken(RuntimeException e) {
        LOG.error("a control request failed", e);
        return refusal(
                problem(ExitCode.FAILED, "an error inside the daemon: " + e)
                        .withNext(api.command("doctor")));
    }

    private static <Q extends Record> Q read(String body, Class<Q> type) throws HttpException {
        try {
            return Json.read(body.isBlank() ? "{}" : body, type);
        } catch (JsonException e) {
            throw new HttpException(400, e.getMessage());
        }
    }

    private static void requireMethod(boolean right, String method) throws HttpException {
        if (!right) {
            throw new HttpException(405, "this path wants " + method);
        }
    }

    private static ControlApi.EventsRequest eventsRequest(String query) throws HttpException {
        long since = 0;
        boolean follow = false;
        for (String part : query.isEmpty() ? new String[0] : query.split("&", -1)) {
            switch (part) {
                case "follow=true" -> follow = true;
                case "follow=false" -> follow = false;
                default -> {
                    if (!part.matches("since=[0-9]{1,18}")) {
                        throw new HttpException(
                                400, "the query may have since=NUMBER and follow=true");
                    }
                    since = Long.parseLong(part.substring("since=".length()));
                }
            }
        }
        return new ControlApi.EventsRequest(since, follow);
    }

    private static void line(LineSink sink, String json) {
        try {
            sink.line(json);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private record EventLines(LineSink sink) implements ControlApi.EventSink {
        @Override
        public void event(ControlApi.Event event) {
            line(sink, Json.write(event));
        }

        @Override
        public void idle() {
            line(sink, "");
        }
    }
}
