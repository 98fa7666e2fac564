//! A collector of traces.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status};

use crate::security::pki::{Authority, Pair};

/// What a collector does with an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behavior {
    Accept,
    Refuse(Code),
    /// Never answers.
    Hang,
}

/// A running collector. It ends when it is dropped.
pub struct Collector {
    address: SocketAddr,
    is_tls: bool,
    received: Arc<Received>,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Received {
    behavior: Behavior,
    exports: AtomicUsize,
    requests: Mutex<Vec<ExportTraceServiceRequest>>,
}

struct Service(Arc<Received>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.exports.fetch_add(1, Ordering::Relaxed);
        match self.0.behavior {
            Behavior::Accept => self.0.requests.lock().unwrap().push(request.into_inner()),
            Behavior::Refuse(code) => return Err(Status::new(code, "refused")),
            Behavior::Hang => std::future::pending().await,
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    pub async fn start() -> Self {
        Self::with(Behavior::Accept).await
    }

    pub async fn with(behavior: Behavior) -> Self {
        Self::serving(behavior, None).await
    }

    /// Over TLS with this certificate. With `clients`, it demands a certificate of that authority.
    pub async fn over_tls(pair: &Pair, clients: Option<&Authority>) -> Self {
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(&pair.certificate, &pair.key));
        let tls = match clients {
            Some(authority) => tls.client_ca_root(Certificate::from_pem(authority.pem())),
            None => tls,
        };
        Self::serving(Behavior::Accept, Some(tls)).await
    }

    async fn serving(behavior: Behavior, tls: Option<ServerTlsConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Received {
            behavior,
            exports: AtomicUsize::new(0),
            requests: Mutex::default(),
        });
        let service = TraceServiceServer::new(Service(Arc::clone(&received)));
        let (is_tls, server) = match tls {
            Some(tls) => (true, Server::builder().tls_config(tls).unwrap()),
            None => (false, Server::builder()),
        };
        let serving = tokio::spawn(async move {
            let mut server = server;
            let serving = server.add_service(service);
            serving
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        Self {
            address,
            is_tls,
            received,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    pub fn endpoint(&self) -> String {
        if self.is_tls {
            format!("https://localhost:{}", self.address.port())
        } else {
            format!("http://{}", self.address)
        }
    }

    /// How many exports were tried.
    pub fn exports(&self) -> usize {
        self.received.exports.load(Ordering::Relaxed)
    }

    /// Everything that was received, as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let requests = self.received.requests.lock().unwrap();
        requests.iter().flat_map(Message::encode_to_vec).collect()
    }

    /// The attributes of the resource that exports.
    pub fn resource(&self) -> Vec<KeyValue> {
        let requests = self.received.requests.lock().unwrap();
        let resource = requests[0].resource_spans[0].resource.clone();
        resource.unwrap().attributes
    }

    /// Every span.
    pub fn spans(&self) -> Vec<Span> {
        let requests = self.received.requests.lock().unwrap();
        let of_resources = requests.iter().flat_map(|request| &request.resource_spans);
        let of_scopes = of_resources.flat_map(|resource| &resource.scope_spans);
        of_scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// The spans of a trace by its id in hexadecimal, in the order in which they began.
    pub fn trace(&self, id: &str) -> Trace {
        let spans = self.spans().into_iter();
        let mut spans: Vec<Span> = spans.filter(|span| hexadecimal(&span.trace_id) == id).collect();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        Trace(spans)
    }
}

/// The spans of one trace.
#[derive(Debug)]
pub struct Trace(pub Vec<Span>);

impl Trace {
    /// The one span whose parent has this id in hexadecimal.
    pub fn below(&self, parent: &str) -> &Span {
        let mut children = self.0.iter().filter(|span| hexadecimal(&span.parent_span_id) == parent);
        let child = children
            .next()
            .unwrap_or_else(|| panic!("nothing below {parent}: {self:#?}"));
        assert!(children.next().is_none(), "{self:#?}");
        child
    }

    /// The spans whose parent is this one.
    pub fn children(&self, parent: &Span) -> Vec<&Span> {
        let children = self.0.iter().filter(|span| span.parent_span_id == parent.span_id);
        children.collect()
    }
}

pub fn hexadecimal(id: &[u8]) -> String {
    id.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// The value of an attribute as text.
pub fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.clone() {
        Some(AnyValue {
            value: Some(Value::StringValue(text)),
        }) => Some(text),
        Some(AnyValue {
            value: Some(Value::IntValue(number)),
        }) => Some(number.to_string()),
        Some(AnyValue {
            value: Some(Value::BoolValue(flag)),
        }) => Some(flag.to_string()),
        other => panic!("{other:?}"),
    }
}
