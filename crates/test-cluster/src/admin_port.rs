//! A node's admin port, asked in the plainest HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A node that is alive answers within this.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The status code and body of a GET.
pub(crate) async fn get(address: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    let asked = async {
        let mut connection = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let timed_out = || std::io::Error::from(std::io::ErrorKind::TimedOut);
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, asked).await.map_err(|_| timed_out())??;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let malformed = || std::io::Error::other(format!("not an HTTP answer: {head}"));
    Ok((status.ok_or_else(malformed)?, body.to_owned()))
}
