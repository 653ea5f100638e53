//! A shop with an API of orders: pages by a cursor, a total, what was paid since; slow, busy or away when the story
//! wants.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

#[derive(Clone)]
pub(super) struct Shop {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
    /// Answers that may still be given.
    permits: Arc<Semaphore>,
}

#[derive(Default)]
struct Inner {
    orders: Vec<Value>,
    asked: usize,
    refuses: Option<(u16, Option<u32>)>,
}

/// So many answers are as good as unlimited.
const MANY: usize = 1_000_000;

impl Shop {
    pub(super) async fn start(orders: usize) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shop = Self {
            address: listener.local_addr().unwrap(),
            inner: Arc::default(),
            permits: Arc::new(Semaphore::new(MANY)),
        };
        shop.sell(orders);
        let router = Router::new()
            .route("/orders", get(orders_page))
            .with_state(shop.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        shop
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn sell(&self, orders: usize) {
        let mut inner = self.inner.lock().unwrap();
        for _ in 0..orders {
            let number = inner.orders.len();
            let buyer = number % 5;
            inner.orders.push(json!({
                "number": number, "paid_at": 1_700_000_000 + number, "total": format!("{number}.00"),
                "buyer": { "name": format!("Buyer {buyer}"), "email": format!("buyer{buyer}@example.org") },
            }));
        }
    }

    /// An order that says something else than before, or nothing that can be understood.
    pub(super) fn change(&self, number: usize, order: Value) {
        self.inner.lock().unwrap().orders[number] = order;
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.inner.lock().unwrap().asked
    }

    /// So many answers, and then none until [`Shop::go_on`].
    pub(super) fn hold_after(&self, answers: usize) {
        self.permits.forget_permits(MANY * 2);
        self.permits.add_permits(answers);
    }

    pub(super) fn go_on(&self) {
        self.permits.add_permits(MANY);
    }

    /// With this status and `Retry-After` from now on.
    pub(super) fn refuse(&self, status: u16, retry_after: Option<u32>) {
        self.inner.lock().unwrap().refuses = Some((status, retry_after));
    }

    pub(super) fn welcome(&self) {
        self.inner.lock().unwrap().refuses = None;
    }
}

async fn orders_page(State(shop): State<Shop>, Query(fields): Query<HashMap<String, String>>) -> Response {
    shop.inner.lock().unwrap().asked += 1;
    shop.permits.acquire().await.unwrap().forget();
    let inner = shop.inner.lock().unwrap();
    if let Some((status, retry_after)) = inner.refuses {
        let status = StatusCode::from_u16(status).unwrap();
        return match retry_after {
            Some(seconds) => (status, [("retry-after", seconds.to_string())]).into_response(),
            None => status.into_response(),
        };
    }
    let number = |name: &str| fields.get(name).and_then(|text| text.parse::<usize>().ok());
    let (after, limit) = (number("after").unwrap_or(0), number("limit").unwrap_or(50));
    let page: Vec<Value> = inner.orders.iter().skip(after).take(limit).cloned().collect();
    let end = after + page.len();
    let next = (end < inner.orders.len()).then_some(end);
    axum::Json(json!({ "count": inner.orders.len(), "orders": page, "next": next })).into_response()
}
