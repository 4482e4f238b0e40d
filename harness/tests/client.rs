//! The client against servers that misbehave: what it sends, and what it makes of the outcome.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use checker::history::{Function, Kind, Value};
use harness::{
    client::{Completion, Connection},
    workload::{
        Answer, GARBAGE, Operation, append, etcd,
        register::{self, Reads},
    },
};
use node::kv;
use proto::{
    etcd::{
        AlarmRequest, AlarmResponse, DeleteRangeRequest, DeleteRangeResponse, HashKvRequest,
        HashKvResponse, PutRequest, PutResponse, RangeRequest, RangeResponse, ResponseOp,
        StatusRequest, StatusResponse, TxnRequest, TxnResponse,
        compare::TargetUnion,
        kv_server::{Kv, KvServer},
        maintenance_server::{Maintenance, MaintenanceServer},
        response_op,
    },
    mvcc::KeyValue,
    peer::Session,
};
use tonic::{Request, Response, Status};

const TIMEOUT: Duration = Duration::from_millis(300);

/// How the server treats requests.
#[derive(Clone, Copy)]
enum Mood {
    /// Every key holds this value; every transaction compares in vain.
    Holds(&'static str),
    /// No answer, ever.
    Silent,
    /// This error, with its `raft-outcome`.
    Refuses(tonic::Code, Option<&'static str>),
}

#[derive(Clone)]
struct Server {
    mood: Mood,
    transactions: Arc<Mutex<Vec<TxnRequest>>>,
    /// Of each deletion: session id and sequence number, as the server read them.
    sessions: Arc<Mutex<Vec<[Option<String>; 2]>>>,
}

impl Server {
    async fn answer<T>(&self, answer: impl FnOnce(&str) -> T) -> Result<Response<T>, Status> {
        match self.mood {
            Mood::Holds(value) => Ok(Response::new(answer(value))),
            Mood::Silent => std::future::pending().await,
            Mood::Refuses(code, outcome) => {
                let mut status = Status::new(code, "refused");
                if let Some(outcome) = outcome {
                    status.metadata_mut().insert("raft-outcome", outcome.parse().unwrap());
                }
                Err(status)
            }
        }
    }
}

fn holds(value: &str) -> RangeResponse {
    let value = bytes::Bytes::copy_from_slice(value.as_bytes());
    RangeResponse {
        kvs: vec![KeyValue { value, mod_revision: 7, ..KeyValue::default() }],
        ..RangeResponse::default()
    }
}

#[tonic::async_trait]
impl Kv for Server {
    async fn range(&self, _: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        self.answer(holds).await
    }

    async fn put(&self, _: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        self.answer(|_| PutResponse::default()).await
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        let said = |name| Some(request.metadata().get(name)?.to_str().unwrap().to_owned());
        let session = ["raft-session-id", "raft-session-sequence"].map(said);
        self.sessions.lock().unwrap().push(session);
        self.answer(|_| DeleteRangeResponse::default()).await
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        self.transactions.lock().unwrap().push(request.into_inner());
        self.answer(|value| {
            let range = response_op::Response::ResponseRange(holds(value));
            let responses = vec![ResponseOp { response: Some(range) }];
            TxnResponse { succeeded: false, responses, ..TxnResponse::default() }
        })
        .await
    }
}

#[tonic::async_trait]
impl Maintenance for Server {
    async fn alarm(&self, _: Request<AlarmRequest>) -> Result<Response<AlarmResponse>, Status> {
        Ok(Response::new(AlarmResponse::default()))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(StatusResponse::default()))
    }

    async fn hash_kv(&self, _: Request<HashKvRequest>) -> Result<Response<HashKvResponse>, Status> {
        Ok(Response::new(HashKvResponse::default()))
    }
}

async fn serve(mood: Mood) -> (SocketAddr, Server) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server { mood, transactions: Arc::default(), sessions: Arc::default() };
    let router = tonic::transport::Server::builder()
        .add_service(KvServer::new(server.clone()))
        .add_service(MaintenanceServer::new(server.clone()));
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    tokio::spawn(router.serve_with_incoming(incoming));
    (address, server)
}

async fn perform(mood: Mood, f: Function, value: Value) -> (Completion, Server) {
    let (address, server) = serve(mood).await;
    let mut connection = Connection::open(address, TIMEOUT, true).await.unwrap();
    let operation = Operation::Register(register::Operation {
        f,
        key: "k0".to_owned(),
        value,
        reads: Reads::Linearizable,
    });
    (connection.perform(&operation, None, TIMEOUT).await, server)
}

/// What a client was told of a register.
fn told(completion: &Completion) -> register::Answer {
    match completion.answer {
        Answer::Register(told) => told,
        _ => panic!("{completion:?}"),
    }
}

#[tokio::test]
async fn a_connection_that_nobody_answers_is_no_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Accepted by the kernel, answered by nobody: like a port whose node is paused.
    let error = Connection::open(address, TIMEOUT, true).await.unwrap_err();
    assert!(error.contains("no answer within"), "{error}");
    drop(listener);
    let error = Connection::open(address, TIMEOUT, true).await.unwrap_err();
    assert!(error.contains("not connected"), "{error}");
}

#[tokio::test]
async fn without_an_answer_a_write_is_unknown_and_a_read_failed() {
    for (f, value, kind) in [
        (Function::Read, Value::Nil, Kind::Fail),
        (Function::Write, Value::Int(1), Kind::Info),
        (Function::Cas, Value::Pair(None, 1), Kind::Info),
    ] {
        let (completion, _) = perform(Mood::Silent, f, value).await;
        assert_eq!(completion.kind, kind, "{f:?}");
        assert!(completion.broken);
        assert!(completion.error.unwrap().starts_with("DEADLINE_EXCEEDED"));
    }
}

#[tokio::test]
async fn the_node_s_word_on_the_outcome_reaches_the_history() {
    let write = |outcome| async move {
        let mood = Mood::Refuses(tonic::Code::Unavailable, outcome);
        perform(mood, Function::Write, Value::Int(1)).await.0
    };
    assert_eq!(write(Some("none")).await.kind, Kind::Fail);
    assert_eq!(write(Some("unknown")).await.kind, Kind::Info);
    let silent = write(None).await;
    assert_eq!(silent.kind, Kind::Info);
    assert_eq!(silent.error.as_deref(), Some("UNAVAILABLE: refused"));
    assert!(!silent.broken, "an orderly error leaves the connection good");
}

#[tokio::test]
async fn a_read_gives_the_value_its_revision_and_garbage_for_what_is_no_number() {
    let (completion, _) = perform(Mood::Holds("42"), Function::Read, Value::Nil).await;
    assert_eq!(completion.kind, Kind::Ok);
    let (value, revision, saw) = (Value::Int(42), Some(7), Some(Some(42)));
    assert_eq!(told(&completion), register::Answer { value, revision, saw });
    let (completion, _) = perform(Mood::Holds("x"), Function::Read, Value::Nil).await;
    assert_eq!((completion.kind, told(&completion).value), (Kind::Ok, Value::Int(GARBAGE)));
}

#[tokio::test]
async fn a_compare_and_set_compares_the_value_or_that_there_is_none() {
    for (expected, compared) in
        [(Some(5), TargetUnion::Value("5".into())), (None, TargetUnion::CreateRevision(0))]
    {
        let (completion, server) =
            perform(Mood::Holds("6"), Function::Cas, Value::Pair(expected, 9)).await;
        assert_eq!(completion.kind, Kind::Fail);
        assert_eq!(completion.error.as_deref(), Some("mismatch"));
        let told = told(&completion);
        assert_eq!(told.value, Value::Found(Some(6)), "a mismatch tells what is there");
        assert_eq!(told.saw, Some(Some(6)));
        let transactions = server.transactions.lock().unwrap();
        assert_eq!(transactions.len(), 1, "never retried");
        assert_eq!(transactions[0].compare[0].target_union, Some(compared));
    }
}

/// Appends an element to two lists.
async fn append(mood: Mood) -> (Completion, usize) {
    let (address, server) = serve(mood).await;
    let mut connection = Connection::open(address, TIMEOUT, true).await.unwrap();
    let step = |list| append::Step::Append { list, element: 7 };
    let operation = Operation::Append(append::Transaction { steps: vec![step(0), step(1)] });
    let completion = connection.perform(&operation, None, TIMEOUT).await;
    let sent = server.transactions.lock().unwrap().len();
    (completion, sent)
}

#[tokio::test]
async fn an_operation_of_several_requests_ends_where_it_must() {
    let (silent, sent) = append(Mood::Silent).await;
    assert_eq!((silent.kind, sent), (Kind::Fail, 1), "nothing was written");
    assert!(silent.broken && silent.error.unwrap().starts_with("DEADLINE_EXCEEDED"));
    let (refused, sent) = append(Mood::Refuses(tonic::Code::Unavailable, None)).await;
    assert_eq!((refused.kind, refused.broken, sent), (Kind::Fail, false, 1));
    let (vain, sent) = append(Mood::Holds("1 2")).await;
    assert_eq!((vain.kind, sent), (Kind::Fail, 1), "one answer is not one of two lists");
}

#[tokio::test]
async fn an_operation_of_a_session_says_so() {
    let (address, server) = serve(Mood::Holds("6")).await;
    let mut connection = Connection::open(address, TIMEOUT, true).await.unwrap();
    let request = kv::Request::DeleteRange(DeleteRangeRequest::default());
    let delete = etcd::Operation { request, retry: etcd::Retry::IfLost };
    let delete = Operation::Etcd(Box::new(delete));
    let session = Session { id: "client 1.1".to_owned(), sequence: 7 };
    for session in [Some(&session), None] {
        let completion = connection.perform(&delete, session, TIMEOUT).await;
        let answer = kv::Response::DeleteRange(DeleteRangeResponse::default());
        assert_eq!((completion.kind, completion.answer), (Kind::Ok, Answer::Etcd(answer)));
    }
    let said = [Some("client 1.1".to_owned()), Some("7".to_owned())];
    assert_eq!(*server.sessions.lock().unwrap(), [said, [None, None]]);
}

#[tokio::test]
async fn what_a_node_refuses_for_the_request_alone_is_conclusive() {
    for (code, conclusive) in [
        (tonic::Code::InvalidArgument, true),
        (tonic::Code::NotFound, true),
        (tonic::Code::OutOfRange, true),
        (tonic::Code::Unavailable, false),
        (tonic::Code::FailedPrecondition, false),
    ] {
        let mood = Mood::Refuses(code, Some("none"));
        let (completion, _) = perform(mood, Function::Write, Value::Int(1)).await;
        assert_eq!((completion.kind, completion.conclusive), (Kind::Fail, conclusive), "{code:?}");
    }
    let (unknown, _) = perform(Mood::Silent, Function::Write, Value::Int(1)).await;
    assert!(!unknown.conclusive);
}
