//! Faults of the certificate with which kube-apiserver calls extension servers.

use std::time::Duration;

use anyhow::Result;

use crate::cluster::Cluster;
use crate::files::PKI;
use crate::layout::CONTROL_PLANE;
use crate::manifest::set_flag;
use crate::options::Component;
use crate::pki::Certificate;

const STEM: &str = "front-proxy-client";

impl Cluster {
    /// The front-proxy certificate on the control plane's disk has expired, and kube-apiserver calls with it. With
    /// `directory` it and its key lie there instead of in kubeadm's place, where a good pair stays, and the flags
    /// `--proxy-client-cert-file` and `--proxy-client-key-file` name them.
    ///
    /// # Errors
    /// When it cannot be written, or kube-apiserver does not become ready with it.
    pub fn expire_front_proxy_certificate(&self, directory: Option<&str>) -> Result<()> {
        let pair = self.front_proxy_ca()?.issue(&Certificate::client(STEM).expired())?;
        let place = directory.unwrap_or(PKI);
        std::fs::create_dir_all(self.path(CONTROL_PLANE, place))?;
        pair.write(&self.path(CONTROL_PLANE, place).join(STEM))?;
        if directory.is_some() {
            return self.apiserver_flags(|flags| {
                set_flag(flags, &format!("--proxy-client-cert-file={place}/{STEM}.crt"));
                set_flag(flags, &format!("--proxy-client-key-file={place}/{STEM}.key"));
            });
        }
        self.restart(Component::ApiServer, CONTROL_PLANE)?;
        self.wait_api(Duration::from_mins(1))
    }
}
