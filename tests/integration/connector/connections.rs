//! Connections to Buildkite: an answer belongs to the request that it was sent for, and to no other.

use std::convert::Infallible;
use std::sync::Arc;

use buildkite_connector::governance::{CallContext, Lane};
use buildkite_connector::providers::buildkite::{Client, ClientOptions, TeamId};
use rstest::rstest;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Enough for every way in which two tasks can meet.
const TRIES: usize = 300;

/// When the answer comes that belongs to no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extra {
    /// In one piece with the true answer.
    Behind,
    /// As soon as the true answer is out.
    AtOnce,
    /// When the true answer was read, just before the next request.
    BeforeTheNext,
}

/// A server that responds correctly to each request for a team, keeps the connection, and sends another response that was not
/// requested.
struct Talkative {
    url: String,
    read: Arc<Notify>,
    said: Arc<Notify>,
    accepting: JoinHandle<()>,
}

impl Talkative {
    async fn start(extra: Extra) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (read, said) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let notified = (Arc::clone(&read), Arc::clone(&said));
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (read, said) = notified.clone();
                tokio::spawn(async move { answer(stream, extra, &read, &said).await });
            }
        });
        Self {
            url,
            read,
            said,
            accepting,
        }
    }
}

impl Drop for Talkative {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Ends with the connection.
async fn answer(stream: TcpStream, extra: Extra, read: &Notify, said: &Notify) -> Option<Infallible> {
    stream.set_nodelay(true).ok()?;
    let mut stream = BufReader::new(stream);
    loop {
        let team = requested(&mut stream).await?;
        let (truth, lie) = (record(team), record(Uuid::new_v4()));
        match extra {
            Extra::Behind => stream.write_all(format!("{truth}{lie}").as_bytes()).await.ok()?,
            Extra::AtOnce => {
                stream.write_all(truth.as_bytes()).await.ok()?;
                stream.write_all(lie.as_bytes()).await.ok()?;
            }
            Extra::BeforeTheNext => {
                stream.write_all(truth.as_bytes()).await.ok()?;
                read.notified().await;
                // The connection may be closed already.
                drop(stream.write_all(lie.as_bytes()).await);
                said.notify_one();
            }
        }
    }
}

/// The team that the next request is about.
async fn requested(stream: &mut BufReader<TcpStream>) -> Option<Uuid> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let team = line.split_whitespace().nth(1)?.rsplit('/').next()?.parse().ok()?;
    while line.trim_end() != "" {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
    }
    Some(team)
}

/// How an answer can end too early.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// Before the length that was announced.
    Length,
    /// Before the last chunk.
    Chunk,
    /// Where nothing says how long it is.
    Close,
}

impl Cut {
    fn answer(self, begun: &str) -> String {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
        let length = begun.len();
        match self {
            Self::Length => format!("{head}content-length: {}\r\n\r\n{begun}", length + 20),
            Self::Chunk => format!("{head}transfer-encoding: chunked\r\n\r\n{length:x}\r\n{begun}\r\n"),
            Self::Close => format!("{head}connection: close\r\n\r\n{begun}"),
        }
    }
}

#[rstest]
#[tokio::test]
async fn a_truncated_response_is_requested_again_for_any_beginning(
    #[values(Cut::Length, Cut::Chunk, Cut::Close)] cut: Cut,
    #[values("", "{\"role\": \"mai", "[1,", "{\"id\": 7, ")] begun: &'static str,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = client(&url);
    let team = TeamId::from(Uuid::new_v4());
    let serve = async {
        for answered in 0_u32.. {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let asked = requested(&mut stream).await.unwrap();
            let answer = if answered < 2 { cut.answer(begun) } else { record(asked) };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    };
    let call = CallContext::new(Lane::Interactive);
    let details = tokio::select! {
        details = client.team(team, &call) => details.unwrap(),
        () = serve => unreachable!("it serves for as long as it is asked"),
    };
    assert_eq!(details.id, team);
}

fn client(url: &str) -> Client {
    let (url, slug) = (url.parse().unwrap(), "northwind-rail".parse().unwrap());
    let token = "bkua_0123456789abcdef0123".parse().unwrap();
    Client::new(url, slug, token, ClientOptions::default()).unwrap()
}

fn record(team: Uuid) -> String {
    let body = format!(r#"{{"id":"{team}","name":"A team"}}"#);
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[rstest]
#[case(Extra::Behind)]
#[case(Extra::AtOnce)]
#[case(Extra::BeforeTheNext)]
#[tokio::test]
async fn an_unsolicited_response_is_never_that_of_the_next_request(#[case] extra: Extra) {
    let server = Talkative::start(extra).await;
    let client = client(&server.url);
    // A task of its own: it goes on before this thread looks at its sockets again, and so before `hyper` can see what came.
    let asking = tokio::spawn(async move {
        for attempt in 0..TRIES {
            let team = TeamId::from(Uuid::new_v4());
            let details = client.team(team, &CallContext::new(Lane::Interactive)).await.unwrap();
            assert_eq!(details.id, team, "try {attempt}");
            if extra == Extra::BeforeTheNext {
                server.read.notify_one();
                server.said.notified().await;
            }
        }
    });
    asking.await.unwrap();
}
