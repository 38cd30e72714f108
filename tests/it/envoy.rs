//! Envoy's external authorization: asked by gRPC as Envoy does, and by a real Envoy in front of a small diagnostic API.

mod attacks;
mod checks;
mod engineers;
mod gate;
mod health;
mod overtaken;
mod proxy;
mod real;
mod settings;
mod trust;
mod verified;
