//! A client that decides what it takes of a response, and sees how its connection ends.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tonic::Status;

use crate::support::within;

/// A connection of HTTP/2.
pub struct RawClient {
    requests: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// A call whose response's head has arrived. Nothing more of it is taken until that is wanted.
pub struct RawCall {
    head: HeaderMap,
    body: RecvStream,
    _request: SendStream<Bytes>,
}

impl RawClient {
    /// With this initial window for the body of every response.
    pub async fn connect(address: SocketAddr, window: u32) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut builder = h2::client::Builder::new();
        let handshake = builder.initial_window_size(window).handshake(stream);
        let (requests, connection) = handshake.await.unwrap();
        let connection = tokio::spawn(connection);
        Self { requests, connection }
    }

    /// Calls a method with an empty message.
    pub async fn call(&self, path: &str, bearer: Option<&str>) -> Result<RawCall, h2::Error> {
        self.send(path, bearer, Bytes::new()).await
    }

    /// Calls a method with this message.
    pub async fn send(&self, path: &str, bearer: Option<&str>, message: Bytes) -> Result<RawCall, h2::Error> {
        let mut request = Request::post(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(bearer) = bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        let mut requests = self.requests.clone().ready().await?;
        let (response, mut body) = requests.send_request(request.body(()).unwrap(), false)?;
        let mut framed = vec![0];
        framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        framed.extend(message);
        body.send_data(framed.into(), true)?;
        let (head, received) = response.await?.into_parts();
        Ok(RawCall {
            head: head.headers,
            body: received,
            _request: body,
        })
    }

    /// Waits until the server closes the connection: whether it said goodbye before, with GOAWAY and no error.
    pub async fn closed(&mut self) -> bool {
        let ended = within("the end of the connection", &mut self.connection).await;
        ended.unwrap().is_ok()
    }

    /// Whether the connection is open still.
    pub fn is_open(&self) -> bool {
        !self.connection.is_finished()
    }
}

impl Drop for RawClient {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl RawCall {
    /// The status of a call that was refused; none where there is a body.
    pub fn refusal(&self) -> Option<Status> {
        Status::from_header_map(&self.head)
    }

    /// Waits for the next message; the status where the call is over instead.
    pub async fn message(&mut self) -> Result<(), Status> {
        if let Some(status) = self.refusal() {
            return Err(status);
        }
        let next = within("a message or the end", self.body.data()).await;
        match next {
            Some(Ok(data)) => {
                self.body.flow_control().release_capacity(data.len()).unwrap();
                Ok(())
            }
            Some(Err(error)) => Err(Status::unknown(error.to_string())),
            None => {
                let trailers = self.body.trailers().await.unwrap().unwrap_or_default();
                Err(Status::from_header_map(&trailers).unwrap_or_else(|| Status::unknown("no status")))
            }
        }
    }

    /// Takes all messages: the status behind them.
    pub async fn ended(&mut self) -> Status {
        loop {
            if let Err(status) = self.message().await {
                return status;
            }
        }
    }
}
